"""Quality and time of the hashers that train networks, with their defaults.

By default they run on Wiki, with the first protocol of the leaderboard: training pairs are the
database, test pairs the queries, and an item is relevant if it has the query's category.
``_collection.py`` describes the other collections. Scores are mean average precision over all
ranks, ties in expectation; seconds are CPU time. The first rows are random codes and linear
hashers, whose ridge is selected on training pairs as in ``benchmarks/linear.py``.

Run it with ``OMP_NUM_THREADS=1 python benchmarks/deep.py [--seeds 3] [--bits 32] [--on wiki a.npz]
[--methods CFRH]``, where ``fetch_wiki`` finds the data.
"""

import argparse

from _collection import collect
from _methods import find_methods
from _quality import REFERENCES, show_methods

from skhash import hashing

# What three papers have in common; the learning rate is of DJSRH and JDSH.
PUBLISHED = {
    "init": "random",
    "hidden_units": 4096,
    "batch_size": 32,
    "optimizer": "sgd",
    "learning_rate": 0.01,
    "center": False,
    "watch_fraction": 0.0,
}
NETWORKS = {m.name: (m.make, m.parameters) for m in find_methods() if m.kind == "network"}
METHODS = NETWORKS | {
    "DGCPN, image_weight=0.99": (hashing.DGCPNHasher, {"image_weight": 0.99}),
    "DJSRH, as published": (hashing.DJSRHHasher, {**PUBLISHED, "max_iter": 200}),
    "JDSH, as published": (hashing.JDSHHasher, {**PUBLISHED, "max_iter": 300}),
    "DSAH, as published": (
        hashing.DSAHHasher,
        {**PUBLISHED, "max_iter": 200, "learning_rate": 5e-3, "momentum": 0.7, "image_weight": 0.9},
    ),
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
    networks = {name: METHODS[name] for name in options.methods}
    for name in options.on:
        draws = zip(*(collect([name], seed) for seed in range(options.seeds)), strict=True)
        for collections in draws:
            for n_bits in options.bits:
                show_methods(REFERENCES | networks, n_bits, collections)


if __name__ == "__main__":
    main()
