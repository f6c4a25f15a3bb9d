"""The hashers that learn a linear map a modality: quality and seconds, their ridge chosen on pairs.

Wiki: training pairs are the database, test pairs the queries, an item is relevant if it has the
query's category, 32 bits. Files of pairs: random splits, 3/4 for training; the remaining pairs
search each other for the other half, 64 bits. Mean average precision over all ranks, ties in
expectation; seconds are of the process's CPU time, of one fit.

No label and no test pair is seen in training or selection: ``GridSearchCV`` chooses ``ridge`` for
each training set by how well held-out pairs find their other half (``score``), 3 folds.

Run it with ``OMP_NUM_THREADS=1 python benchmarks/linear.py [--seeds 3] [--pairs a.npz b.npz]``,
where ``fetch_wiki`` finds the data. A file holds ``image``, (n, d) float, and ``text``, (n, d)
float, or ``words``, (n,) str, of which a bag of words is made.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from _quality import both_directions
from sklearn.model_selection import GridSearchCV, KFold

from skhash import hashing
from skhash.datasets import fetch_wiki
from skhash.features import BoWTextFeaturizer

RIDGES = [0.01, 0.03, 0.1, 0.3, 1.0]
METHODS = [
    ("CCAHasher", {}),
    ("ITQHasher", {"space": "image"}),
    ("ITQHasher", {"space": "text"}),
    ("ITQHasher", {"space": "shared"}),
    ("CMFHHasher", {}),
    ("FSHHasher", {}),
    ("IMHHasher", {}),
    ("RandomHyperplaneHasher", {"space": "image"}),
]


def choose(hasher, X, seed):
    """Return the hasher with the ridge that held-out training pairs ask for."""
    folds = KFold(3, shuffle=True, random_state=seed)
    grid = {"ridge": RIDGES} if hasher.get_params().get("space") != "shared" else {}
    return GridSearchCV(hasher, grid, cv=folds, refit=False).fit(X).best_params_


def of_wiki(seed):
    train, test = fetch_wiki(subset="train"), fetch_wiki(subset="test")
    return 128, train.data, test.data, train.data, (test.target, train.target)


def of_pairs(path, seed):
    file = np.load(path)
    n = len(file["image"])
    rows = np.random.default_rng(seed).permutation(n)
    test, train = rows[: n // 4], rows[n // 4 :]
    if "words" in file:
        bags = BoWTextFeaturizer(sparse_output=False).fit(list(file["words"][train]))
        text = bags.transform(list(file["words"]))
    else:
        text = file["text"]
    X = np.hstack([file["image"], text]).astype(np.float32)
    return file["image"].shape[1], X[train], X[test], X[test], (None, None)


def main():
    """Print a row a method and data set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--pairs", type=Path, nargs="*", default=[])
    options = parser.parse_args()
    print(__doc__)
    sets = [("Wiki", 32, of_wiki)]
    sets += [
        (path.stem, 64, lambda seed, path=path: of_pairs(path, seed)) for path in options.pairs
    ]
    for title, n_bits, load in sets:
        loaded = [load(seed) for seed in range(options.seeds)]
        rows = []
        for seed, (_, _, queries, gallery, labels) in enumerate(loaded):
            rng = np.random.default_rng(seed)

            def draw(X, rng=rng, n_bits=n_bits):
                return rng.random((len(X), 2 * n_bits)) < 0.5

            rows.append(both_directions(draw, queries, gallery, labels))
        show(title, "random codes", rows)
        for name, parameters in METHODS:
            rows, chosen, seconds = [], [], []
            for seed, (n_image, X, queries, gallery, labels) in enumerate(loaded):
                if parameters.get("space") == "shared" and 2 * n_image != X.shape[1]:
                    continue
                make = getattr(hashing, name)
                hasher = make(n_bits, n_image_features=n_image, random_state=seed, **parameters)
                best = choose(hasher, X, seed)
                started = time.process_time()
                hasher.set_params(**best).fit(X)
                seconds.append(time.process_time() - started)
                chosen.append(best.get("ridge"))
                rows.append(both_directions(hasher.transform, queries, gallery, labels))
            if rows:
                note = f"ridge {chosen}, {np.median(seconds):.2f} s"
                show(title, f"{name} {parameters.get('space', '')}", rows, note)


def show(title, name, rows, note=""):
    (to_text, to_image), (sd_text, sd_image) = np.mean(rows, axis=0), np.std(rows, axis=0)
    scores = f"{to_text:.3f} ± {sd_text:.3f}  {to_image:.3f} ± {sd_image:.3f}"
    print(f"{title:<16}{name:<32}{scores}  {note}", flush=True)


if __name__ == "__main__":
    main()
