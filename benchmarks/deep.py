"""The hashers that train networks: quality and seconds, with their defaults, beside references.

By default on Wiki, with the first protocol of the leaderboard: training pairs are the database,
test pairs the queries, an item is relevant if it has the query's category. ``_collection.py``
describes the other collections. Mean average precision over all ranks, ties in expectation; seconds
are of the process's CPU time. Above the networks stand random codes and linear hashers, their ridge
chosen on training pairs as in ``benchmarks/linear.py``.

Run it with ``OMP_NUM_THREADS=1 python benchmarks/deep.py [--seeds 3] [--bits 32] [--on wiki a.npz]
[--methods CFRH]``, where ``fetch_wiki`` finds the data.
"""

import argparse

from _collection import collect
from _quality import REFERENCES, show_methods

from skhash import hashing

# What three papers have in common; the learning rate is of DJSRH and JDSH.
PUBLISHED = {
    "init": "random",
    "hidden_units": 4096,
    "batch_size": 32,
    "optimizer": "sgd",
    "learning_rate": 0.01,
    "watch_fraction": 0.0,
}
METHODS = {
    "CFRH": ("CFRHHasher", {}),
    "DGCPN": ("DGCPNHasher", {}),
    "DGCPN, image_weight=0.99": ("DGCPNHasher", {"image_weight": 0.99}),
    "CIRH": ("CIRHHasher", {}),
    "DJSRH": ("DJSRHHasher", {}),
    "DJSRH, as published": ("DJSRHHasher", {**PUBLISHED, "max_iter": 200}),
    "JDSH": ("JDSHHasher", {}),
    "JDSH, as published": ("JDSHHasher", {**PUBLISHED, "max_iter": 300}),
    "DSAH": ("DSAHHasher", {}),
    "DSAH, as published": (
        "DSAHHasher",
        {**PUBLISHED, "max_iter": 200, "learning_rate": 5e-3, "momentum": 0.7, "image_weight": 0.9},
    ),
    "UCCH": ("UCCHHasher", {}),
    "DUCH": ("DUCHHasher", {}),
    "AGCH": ("AGCHHasher", {}),
    "HNH": ("HNHHasher", {}),
    "CLIP4Hashing": ("CLIP4HashingHasher", {}),
}


def main():
    """Print a row a method and collection."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--bits", type=int, nargs="+", default=[32])
    parser.add_argument("--on", nargs="+", default=["wiki"], help="names or files of collections")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    options = parser.parse_args()
    print(__doc__)
    networks = {
        name: (getattr(hashing, METHODS[name][0]), METHODS[name][1]) for name in options.methods
    }
    for name in options.on:
        draws = zip(*(collect([name], seed) for seed in range(options.seeds)), strict=True)
        for collections in draws:
            for n_bits in options.bits:
                show_methods(REFERENCES | networks, n_bits, collections)


if __name__ == "__main__":
    main()
