"""The hashers that train networks, on Wiki: quality and seconds, with their defaults.

The protocol is that of ``benchmarks/wiki.py``: training pairs are the database, test pairs the
queries, an item is relevant if it has the query's category. Mean average precision over all ranks,
ties in expectation; seconds are of the process's CPU time.

Run it with ``OMP_NUM_THREADS=1 python benchmarks/deep.py [--seeds 3] [--bits 32]``, where
``fetch_wiki`` finds the data.
"""

import argparse
import time

import numpy as np
from _quality import both_directions

from skhash import hashing
from skhash.datasets import fetch_wiki

METHODS = [
    ("CFRHHasher", {}),
    ("DGCPNHasher", {}),
    ("DGCPNHasher", {"image_weight": 0.99}),
    ("CIRHHasher", {}),
    ("UCCHHasher", {}),
    ("DUCHHasher", {}),
]


def measure(hasher, train, test):
    """Return the mean average precision of both directions, and the seconds of the fit."""
    started = time.process_time()
    hasher.fit(train.data)
    seconds = time.process_time() - started
    labels = test.target, train.target
    return *both_directions(hasher.transform, test.data, train.data, labels), seconds


def main():
    """Print a row a method."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--bits", type=int, default=32)
    arguments = parser.parse_args()
    train, test = fetch_wiki(subset="train"), fetch_wiki(subset="test")
    for name, parameters in METHODS:
        results = []
        for seed in range(arguments.seeds):
            make = getattr(hashing, name)
            hasher = make(arguments.bits, n_image_features=128, random_state=seed, **parameters)
            results.append(measure(hasher, train, test))
        (to_text, to_image, seconds), (sd_text, sd_image, _) = (
            np.mean(results, axis=0),
            np.std(results, axis=0),
        )
        print(
            f"{name} {parameters or ''}: image to text {to_text:.3f} +- {sd_text:.3f}, "
            f"text to image {to_image:.3f} +- {sd_image:.3f}, {seconds:.1f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
