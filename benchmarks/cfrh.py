"""Quality of CFRH with its defaults and with each option, compared with linear methods.

``_collection.py`` describes the collections, and ``_quality.py`` the reference methods, whose ridge
is selected on training pairs. Scores are mean average precision over all ranks, ties in
expectation; seconds are CPU time of one fit. All methods use the same splits, one per seed. Labels
are not used in training. For the code lengths in ``--options``, additional rows change one option
of the defaults.

Run it with ``OMP_NUM_THREADS=1 python benchmarks/cfrh.py [--seeds 3] [--bits 16 32 64 128]
[--on wiki clip-like a.npz] [--rows 'target="consensus"']``, where ``fetch_wiki`` finds the data.
"""

import argparse

from _collection import collect
from _methods import CFRH_AS_PUBLISHED
from _quality import REFERENCES, show_methods

from skhash.hashing import CFRHHasher

DEFAULTS = {"CFRH, as published": CFRH_AS_PUBLISHED, "CFRH, defaults": {}}
# Each changes one thing.
OPTIONS = {
    'as published, init="cca"': {**CFRH_AS_PUBLISHED, "init": "cca"},
    'init="random"': {"init": "random"},
    "scale=1.4": {"scale": 1.4},
    "pairing_weight=1": {"pairing_weight": 1.0},
    "linear_rate=1": {"linear_rate": 1.0},
    "init_ridge=0.1": {"init_ridge": 0.1},
    "watch_fraction=0": {"watch_fraction": 0.0},
    'target="consensus"': {"target": "consensus"},
    'joint="graph"': {"joint": "graph"},
}


def main():
    """Print a row a collection, length and method."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    rows = DEFAULTS | OPTIONS
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--bits", type=int, nargs="+", default=[16, 32, 64, 128])
    parser.add_argument("--options", type=int, nargs="*", default=[64], help="lengths")
    parser.add_argument("--on", nargs="+", default=["wiki"], help="names or files of collections")
    parser.add_argument("--rows", nargs="+", choices=rows, default=list(rows))
    arguments = parser.parse_args()
    print(__doc__)
    for name in arguments.on:
        draws = zip(*(collect([name], seed) for seed in range(arguments.seeds)), strict=True)
        for collections in draws:
            for n_bits in arguments.bits:
                shown = rows if n_bits in arguments.options else DEFAULTS
                chosen = {n: (CFRHHasher, shown[n]) for n in arguments.rows if n in shown}
                show_methods(REFERENCES | chosen, n_bits, collections)


if __name__ == "__main__":
    main()
