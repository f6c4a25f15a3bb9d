"""Speed of CLIPFeaturizer compared with the loop of open_clip's README and with the model alone.

    python benchmarks/featurize.py                     2,000 images, half an hour on two cores
    python benchmarks/featurize.py --images 64

The model has random weights, and the images are generated JPEG files of 640 x 480 pixels. All
methods process the same slices of the files in turn, so that other load on the machine affects all
of them equally. A second pass, over cached pictures, is timed too.
"""

import argparse
import logging
import os
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from _timing import check, header, in_fresh_process, line, peak_memory, speedup, turns, verdict
from PIL import Image

from skhash._libraries import import_with_torchvision
from skhash.features import CLIPFeaturizer, list_features

MODEL = "ViT-B-32"
WORDS = (
    *("a", "the", "red", "old", "small", "dog", "cat"),
    *("boat", "man", "on", "in", "near", "street"),
)


def featurizer(options, modality="image"):
    return CLIPFeaturizer(
        options.model,
        pretrained=None,
        modality=modality,
        batch_size=options.batch_size,
        n_workers=options.workers,
        precision=options.precision,
        device=options.device,
    )


def write_images(folder, number):
    """Write smooth random pictures: noise alone would be slower to decode than photographs."""
    rng = np.random.default_rng(0)
    paths = [Path(folder) / f"{i:05d}.jpg" for i in range(number)]
    for path in paths:
        small = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(small).resize((640, 480), Image.Resampling.BICUBIC).save(path, quality=90)
    return paths


def write_captions(number):
    """Make captions of 6 to 15 words and a number, no two alike."""
    rng = np.random.default_rng(1)
    return [" ".join([*rng.choice(WORDS, rng.integers(6, 16)), str(i)]) for i in range(number)]


def in_turn(contenders, items, n_slices):
    """Time every contender on every slice, the order turning; return seconds and answers."""
    n_slices = min(n_slices, len(items))
    seconds = {name: np.empty(n_slices) for name in contenders}
    answers = {name: [] for name in contenders}
    for contender in contenders.values():
        contender(items[:1])
    slices = [[items[row] for row in rows] for rows in np.array_split(range(len(items)), n_slices)]
    for number, name in turns(contenders, n_slices):
        started = time.perf_counter()
        answers[name].append(contenders[name](slices[number]))
        seconds[name][number] = time.perf_counter() - started
    return seconds, {name: np.concatenate(parts) for name, parts in answers.items()}


def compare(contenders, items, options, what, bars):
    """Race, check that ours are the embeddings of the first contender, and print the ratios."""
    seconds, answers = in_turn(contenders, items, options.slices)
    for name, each in seconds.items():
        line(name, f"{len(items) / each.sum():.2f} {what}/s")
    if options.precision == "fp32":
        gap = np.abs(answers["skhash"] - answers[next(iter(contenders))]).max()
        check(f"the embeddings are those of open_clip ({gap:.1e} at most)", gap < 1e-5)
    for name, bar in bars.items():
        ratio, text = speedup(seconds[name], seconds["skhash"])
        line(f"skhash / {name}", text, verdict(ratio, bar))


def race_images(options, model, preprocess, paths):
    import torch

    def readme(part):
        """Embed one file at a time, as in open_clip's README."""
        rows = []
        for path in part:
            image = preprocess(Image.open(path)).unsqueeze(0).to(options.device)
            with torch.no_grad():
                features = model.encode_image(image)
                features /= features.norm(dim=-1, keepdim=True)
            rows.append(features.cpu().numpy())
        return np.concatenate(rows)

    ready = torch.stack([preprocess(Image.open(path)) for path in paths[: options.batch_size]])
    ready = ready.to(options.device)

    def bare(part):
        """Let ready tensors pass the model, as many as there are files."""
        rows = []
        with torch.inference_mode():
            for start in range(0, len(part), options.batch_size):
                n_rows = min(options.batch_size, len(part) - start)
                rows.append(model.encode_image(ready[:n_rows]).cpu().numpy())
        return np.concatenate(rows)

    ours = featurizer(options).transform
    contenders = {"open_clip's README": readme, "bare model": bare, "skhash": ours}
    bars = {"open_clip's README": 1.3, "bare model": 0.95}
    compare(contenders, paths, options, "images", bars)


def race_texts(options, model, captions):
    import torch

    tokenizer = import_with_torchvision("open_clip").get_tokenizer(options.model)

    def plain(part):
        """Embed batches of 77 tokens."""
        rows = []
        with torch.no_grad():
            for start in range(0, len(part), options.batch_size):
                tokens = tokenizer(part[start : start + options.batch_size]).to(options.device)
                features = model.encode_text(tokens)
                features /= features.norm(dim=-1, keepdim=True)
                rows.append(features.cpu().numpy())
        return np.concatenate(rows)

    contenders = {"open_clip's plain loop": plain, "skhash": featurizer(options, "text").transform}
    compare(contenders, captions, options, "texts", {"open_clip's plain loop": 3})


def race_cache(options, paths, folder):
    """Time a first pass, which fills the cache, and three more, which read it."""
    ours = featurizer(options)
    ours.transform(paths[:1])
    ours.set_params(cache_dir=folder)
    seconds, answers = [], []
    for _ in range(4):
        started = time.perf_counter()
        answers.append(ours.transform(paths))
        seconds.append(time.perf_counter() - started)
    check("the cache gives what was put there", all((a == answers[0]).all() for a in answers))
    size = list_features(folder)["n_bytes"].sum()
    line("first pass, second pass", *(f"{len(paths) / s:.2f} images/s" for s in seconds[:2]))
    line("the cache", f"{size / len(paths):.0f} bytes an image")
    ratio, text = speedup(seconds[:1], np.array(seconds[1:]))
    line("second pass / first", text, verdict(ratio, 100))


def memory_of(options, paths):
    """Return the bytes that a transform adds to a process whose model is loaded."""
    warnings.simplefilter("ignore")
    ours = featurizer(options)
    ours.transform(paths[: options.batch_size])
    return peak_memory(lambda: ours.transform(paths))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=2000, help="number of images and captions")
    parser.add_argument("--slices", type=int, default=10, help="parts that are timed in turn")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--workers", type=int, default=min(1, (os.cpu_count() or 1) - 1))
    parser.add_argument("--precision", choices=["fp32", "bf16", "fp16"], default="fp32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--model", default=MODEL)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message=".*random weights")
    logging.disable(logging.WARNING)
    header("torch", "open_clip_torch", "pillow")
    from skhash.features._towers.models import load_model, locate

    located = locate(options.model, None, weights_dir=None, local_files_only=True)
    model, preprocess = load_model(located, options.device)
    with tempfile.TemporaryDirectory() as folder:
        paths = write_images(folder, options.images)
        print(f"{options.images} images, {options.model}, {vars(options)}", flush=True)
        race_images(options, model, preprocess, paths)
        print(f"\n{options.images} captions of 7 to 16 words", flush=True)
        race_texts(options, model, write_captions(options.images))
        few = max(options.batch_size, options.images // 4)
        print(f"\n{few} images and a cache", flush=True)
        race_cache(options, paths[:few], Path(folder) / "cache")
        print(flush=True)
        for number in (few, options.images):
            added = in_fresh_process(memory_of, options, paths[:number])
            shown = "not known here" if added is None else f"{added / 2**20:.0f} MiB"
            line(f"memory that {number} images add", shown)


if __name__ == "__main__":
    main()
