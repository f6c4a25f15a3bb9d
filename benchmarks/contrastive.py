"""What each part of clustered contrastive learning adds, on drawn scenes, beside equal compute.

Small towers are trained on scenes and asked for combinations of shapes, colours and relation that
training never saw, in both directions, in a gallery of 500 pairs. Variants: the cross-modal loss
alone, with the uni-modal losses, with clustered batches, with both; and controls that are given as
many CPU seconds as the variant with both, by as many more epochs. Printed are recalls at 1, 5 and
10 (hit rate, real embeddings by cosine, expectation over ties), mean ± standard deviation over
seeds, CPU seconds of training on one thread, and what random embeddings score. ``--noisy`` swaps
the captions of that share of the training pairs, ``--samples`` gives fewer pairs.

Run it with ``python benchmarks/contrastive.py [--seeds 5] [--samples 3000] [--noisy 0.3]
[--variants cross both]``.
"""

import argparse
import json
import os
import time

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch

import skhash
from skhash.datasets import make_scenes
from skhash.features import ContrastiveFeaturizer
from skhash.metrics import hit_rate_at_k

EPOCHS = 24
N_TEST = 500
K = (1, 5, 10)
ALONE = {"image_weight": 0.0, "text_weight": 0.0}
# The last third of the epochs are rounds of clustered batches.
ROUNDS = {"n_rounds": 2, "round_epochs": 4, "joint_epochs": EPOCHS - 8}
JOINT = {"n_rounds": 0, "joint_epochs": EPOCHS}
VARIANTS = {
    "cross": {**ALONE, **JOINT},
    "cross + clusters": {**ALONE, **ROUNDS},
    "cross + unimodal": JOINT,
    "both": ROUNDS,
}


def make_data(n_samples, noisy, seed):
    """Draw training pairs, and test pairs of combinations that are in none of them."""
    scenes = make_scenes(n_samples + 3 * N_TEST, random_state=seed)
    train, rest = scenes.frame[:n_samples].copy(), np.arange(n_samples, len(scenes.frame))
    unseen = rest[~np.isin(scenes.combination[rest], scenes.combination[:n_samples])]
    test = scenes.frame.iloc[unseen[:N_TEST]].reset_index(drop=True)
    if noisy:
        rng = np.random.default_rng(seed)
        rows = rng.choice(n_samples, round(noisy * n_samples), replace=False)
        train.loc[rows, "text"] = train["text"].to_numpy()[np.roll(rows, 1)]
    return train, test


def measure(image, text):
    """Return the recalls of both directions."""
    sides = ((image, text), (text, image))
    return np.concatenate([hit_rate_at_k(query, items, k=K) for query, items in sides])


def run(parameters, train, test, seed):
    """Train; return recalls in both directions and CPU seconds."""
    featurizer = ContrastiveFeaturizer(**parameters, random_state=seed)
    started = time.process_time()
    featurizer.fit(train)
    seconds = time.process_time() - started
    image, text = (getattr(featurizer, f"encode_{b}")(test[b]) for b in ("image", "text"))
    return [*measure(image, text), seconds]


def line(name, rows):
    means, spreads = np.mean(rows, axis=0), np.std(rows, axis=0)
    cells = [f"{100 * m:.1f} ± {100 * s:.1f}" for m, s in zip(means[:-1], spreads, strict=False)]
    print(f"  {name:<30}" + "".join(f"{cell:>14}" for cell in cells) + f"{means[-1]:>8.0f}")


def controls(results):
    """Give the cheaper variants as many CPU seconds as both parts take, by more epochs."""
    dear = np.mean(results["both"], axis=0)[-1]
    longer = {}
    for name in ("cross", "cross + clusters", "cross + unimodal"):
        if name in results:
            factor = dear / np.mean(results[name], axis=0)[-1]
            epochs = {
                key: round(value * factor)
                for key, value in VARIANTS[name].items()
                if key in ("joint_epochs", "round_epochs")
            }
            longer[f"{name}, equal compute"] = {**VARIANTS[name], **epochs}
    return longer


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=3000)
    parser.add_argument("--noisy", type=float, default=0.0)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--parameters", type=json.loads, default={}, help="JSON, for all variants")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"skhash {skhash.__version__}, torch {torch.__version__}, one thread")
    print(
        f"{options.samples} training pairs, {options.noisy:.0%} of their captions swapped, "
        f"{options.seeds} seeds; {N_TEST} test pairs of unseen combinations"
    )
    heads = [f"{way} R@{k}" for way in ("i->t", "t->i") for k in K]
    print(f"  {'':<30}" + "".join(f"{head:>14}" for head in heads) + f"{'CPU s':>8}", flush=True)
    data = [make_data(options.samples, options.noisy, seed) for seed in range(options.seeds)]
    random = [np.random.default_rng(s).standard_normal((2, N_TEST, 128)) for s in range(len(data))]
    line("random embeddings", [[*measure(*pair), 0.0] for pair in random])

    results, waiting = {}, {name: VARIANTS[name] for name in options.variants}
    while waiting:
        name = next(iter(waiting))
        parameters = {**waiting.pop(name), **options.parameters}
        results[name] = [run(parameters, *pairs, seed) for seed, pairs in enumerate(data)]
        line(name, results[name])
        if name == "both" and len(results) > 1:
            waiting.update(controls(results))


if __name__ == "__main__":
    main()
