"""CFRH: what its defaults and each option gain, on every data set, beside CCA + ITQ.

Wiki: training pairs are the database, test pairs the queries, an item is relevant if it has the
query's category. CLIP-like: ``make_clip_features``, an item is relevant if it shares a label, and
the database is apart from the training pairs. Files of pairs: random splits. With labels ``y``, 4/5
are training pairs and database, the others queries, and an item is relevant if it has the query's
label; without, 3/4 are training pairs, and the others search each other for the other half. Mean
average precision over all ranks, ties in expectation; seconds are of the process's CPU time, of one
fit. All methods have the same splits, one a seed. No label is seen in training.

At the lengths that ``--options`` names, rows follow that change one option of the defaults.

Run it with ``OMP_NUM_THREADS=1 python benchmarks/cfrh.py [--seeds 3] [--bits 16 32 64 128] [--pairs
a.npz b.npz] [--clip-like 20000]``, where ``fetch_wiki`` finds the data. A file holds ``image``,
(n, d) float, ``text``, (n, d) float, or ``words``, (n,) str, of which a bag of words is made, and
perhaps ``y``, (n,).
"""

import argparse
import time
from pathlib import Path

import numpy as np
from _quality import both_directions

from skhash import datasets
from skhash.features import BoWTextFeaturizer
from skhash.hashing import CCAHasher, CFRHHasher

PUBLISHED = {
    "init": "random",
    "scale": 1.4,
    "pairing_weight": 1.0,
    "max_iter": 60,
    "watch_fraction": 0.0,
}
METHODS = [
    ("CCA + ITQ", CCAHasher, {}),
    ("CFRH, as published", CFRHHasher, PUBLISHED),
    ("CFRH, defaults", CFRHHasher, {}),
]
# Each changes one thing.
OPTIONS = [
    ("CCA + ITQ, ridge=1", CCAHasher, {"ridge": 1.0}),
    ('as published, init="cca"', CFRHHasher, {**PUBLISHED, "init": "cca"}),
    ('init="random"', CFRHHasher, {"init": "random"}),
    ("scale=1.4", CFRHHasher, {"scale": 1.4}),
    ("pairing_weight=1", CFRHHasher, {"pairing_weight": 1.0}),
    ("linear_rate=1", CFRHHasher, {"linear_rate": 1.0}),
    ("init_ridge=0.1", CFRHHasher, {"init_ridge": 0.1}),
    ("watch_fraction=0", CFRHHasher, {"watch_fraction": 0.0}),
    ('target="consensus"', CFRHHasher, {"target": "consensus"}),
    ('joint="graph"', CFRHHasher, {"joint": "graph"}),
]


def of_wiki(seed):
    train, test = (datasets.fetch_wiki(subset=subset) for subset in ("train", "test"))
    return 128, train.data, test.data, train.data, (test.target, train.target)


def of_clip_features(n_samples, seed):
    pairs = datasets.make_clip_features(n_samples, random_state=seed)
    parts = [pairs.data[rows] for rows in (pairs.train, pairs.query, pairs.database)]
    return pairs.n_image_features, *parts, (pairs.target[pairs.query], pairs.target[pairs.database])


def of_pairs(path, seed):
    file = np.load(path)
    n = len(file["image"])
    rows = np.random.default_rng(seed).permutation(n)
    test, train = np.split(rows, [n // 5 if "y" in file else n // 4])
    if "words" in file:
        bags = BoWTextFeaturizer(sparse_output=False).fit(list(file["words"][train]))
        text = bags.transform(list(file["words"]))
    else:
        text = file["text"]
    X = np.hstack([file["image"], text]).astype(np.float32)
    n_image = file["image"].shape[1]
    if "y" in file:
        return n_image, X[train], X[test], X[train], (file["y"][test], file["y"][train])
    return n_image, X[train], X[test], X[test], (None, None)


def main():
    """Print a row a data set, length and method."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--bits", type=int, nargs="+", default=[16, 32, 64, 128])
    parser.add_argument("--options", type=int, nargs="*", default=[64], help="lengths")
    parser.add_argument("--wiki", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--pairs", type=Path, nargs="*", default=[])
    parser.add_argument("--clip-like", type=int, default=0, help="pairs to draw; 0 leaves them out")
    arguments = parser.parse_args()
    print(__doc__)
    sets = [("Wiki", of_wiki)] if arguments.wiki else []
    sets += [(path.stem, lambda seed, path=path: of_pairs(path, seed)) for path in arguments.pairs]
    if n_drawn := arguments.clip_like:
        sets.append(("CLIP-like", lambda seed: of_clip_features(n_drawn, seed)))
    for title, load in sets:
        loaded = [load(seed) for seed in range(arguments.seeds)]
        for n_bits in arguments.bits:
            print_rows(
                title, loaded, n_bits, METHODS + (OPTIONS if n_bits in arguments.options else [])
            )


def print_rows(title, loaded, n_bits, methods):
    random = []
    for seed, (_, _, queries, gallery, labels) in enumerate(loaded):
        rng = np.random.default_rng(seed)
        draw = lambda X, rng=rng: rng.random((len(X), 2 * n_bits)) < 0.5  # noqa: E731
        random.append(both_directions(draw, queries, gallery, labels))
    print_row(title, n_bits, "random codes", random)
    for name, method, parameters in methods:
        rows, seconds = [], []
        for seed, (n_image, X, queries, gallery, labels) in enumerate(loaded):
            hasher = method(n_bits, n_image_features=n_image, random_state=seed, **parameters)
            started = time.process_time()
            hasher.fit(X)
            seconds.append(time.process_time() - started)
            rows.append(both_directions(hasher.transform, queries, gallery, labels))
        print_row(title, n_bits, name, rows, f"{np.median(seconds):.1f} s")


def print_row(title, n_bits, name, rows, note=""):
    (to_text, to_image), (sd_text, sd_image) = np.mean(rows, axis=0), np.std(rows, axis=0)
    scores = f"{to_text:.3f} ± {sd_text:.3f}  {to_image:.3f} ± {sd_image:.3f}"
    print(f"{title:<12}{n_bits:>4}  {name:<26}{scores}  {note}", flush=True)


if __name__ == "__main__":
    main()
