"""Kill a process while it embeds pictures into a cache, again and again, and look at what is there.

A child embeds pictures with CLIPFeaturizer and a small random model, and tells of each batch before
it is kept. It is killed (SIGKILL) at a random moment, and the next child goes on where it stopped;
when all pictures are done, all over again in a new folder. After each kill every vector of the
batches before the last one must be there, and none may be wrong. Printed are the kills, how many
of them left a file that was not whole, the vectors that are missing or wrong, the most that were
embedded twice, and versions.

Run it with ``python benchmarks/kill_features.py [--kills 50] [--batch 8] [--seed 0]``, where there
is ``fork``.
"""

import json
import logging
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from _kill import Moments, parser_of
from _timing import header
from PIL import Image

from skhash.features import CLIPFeaturizer
from skhash.features._clip import featurizer as _clip
from skhash.features._clip.cache import open_cache
from skhash.features._clip.forward import embedded

N_IMAGES = 1500
MODEL = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 8, "vocab_size": 64, "width": 8, "heads": 2, "layers": 1},
}


def write_images(folder):
    rng = np.random.default_rng(0)
    paths = [folder / f"{i:04d}.png" for i in range(N_IMAGES)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(path)
    return paths


def killed(featurizer, paths, moments, latest):
    """Start a child, kill it, and return how many pictures it had embedded."""

    def embed(report):
        def telling(*args, **options):
            for positions, vectors, troubles in embedded(*args, **options):
                report(bytes(len(positions)))
                yield positions, vectors, troubles

        _clip.embedded = telling
        featurizer.transform(paths)

    return len(moments.kill(embed, 0, latest))


def main():
    parser = parser_of(__doc__, kills=50)
    parser.add_argument("--batch", type=int, default=8)
    options = parser.parse_args()
    header("numpy", "open_clip_torch", "torch")
    warnings.filterwarnings("ignore", message=".*random weights")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)  # threads do not survive fork
    moments = Moments(options.seed)
    missing = wrong = repeated = interrupted = rounds = n_before = 0
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        paths = write_images(folder)
        (folder / "open_clip_config.json").write_text(
            json.dumps({"model_cfg": MODEL, "preprocess_cfg": {}})
        )
        featurizer = CLIPFeaturizer(
            f"local-dir:{folder}", pretrained=None, batch_size=options.batch, device="cpu"
        )
        started = time.perf_counter()
        expected = featurizer.transform(paths)
        whole = time.perf_counter() - started
        for _ in range(options.kills):
            featurizer.cache_dir = folder / f"cache-{rounds}"
            n_embedded = killed(featurizer, paths, moments, whole / 4)
            store = open_cache(
                featurizer.cache_dir, featurizer._locate(), "image", featurizer.get_params()
            )
            found, got = store.get(store.keys(paths))
            n_new = int(found.sum()) - n_before
            repeated = max(repeated, n_embedded - n_new)
            missing += max(0, n_embedded - n_new - options.batch)
            wrong += int((np.abs(got[found] - expected[found]) > 1e-5).any(axis=1).sum())
            half = list(store.folder.glob("*.tmp"))
            interrupted += bool(half)
            for path in half:
                path.unlink()
            n_before += n_new
            if found.all():
                rounds, n_before = rounds + 1, 0
        featurizer.cache_dir = folder / "cache-0"
        wrong += int((np.abs(featurizer.transform(paths) - expected) > 1e-5).any(axis=1).sum())
    print(f"{options.kills} kills, {interrupted} of them in the middle of writing or merging")
    print(f"{N_IMAGES} pictures, {rounds} times all of them, {n_before} of the next time")
    print(f"{missing} missing, {wrong} wrong, at most {repeated} embedded twice after a kill")
    if not (rounds or n_before):
        raise SystemExit("no run came as far as a batch: give them more time")
    if missing or wrong or repeated > options.batch:
        raise SystemExit("a kill lost vectors, left wrong ones or cost more than a batch")


if __name__ == "__main__":
    main()
