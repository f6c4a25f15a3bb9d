"""Quality and time of the hashers that learn linear maps, with a ridge selected on pairs.

On Wiki, training pairs are the database, test pairs the queries, and an item is relevant if it has
the query's category; codes have 32 bits. Files of pairs are split at random, 3/4 for training; the
images and texts of the other pairs search each other for the other half, with 64 bits.
``_collection.py`` describes these and the other collections. Scores are mean average precision over
all ranks, ties in expectation; seconds are CPU time of one fit.

Neither labels nor test pairs are used in training or selection: ``GridSearchCV`` selects ``ridge``
for each training set by how well held-out pairs find their other half (``score``), 3 folds.

Run it with ``OMP_NUM_THREADS=1 python benchmarks/linear.py [--seeds 3] [--pairs a.npz b.npz]
[--on wiki wiki-apart digits clip-like] [--bits 16 64]``, where ``fetch_wiki`` finds the data.
"""

import argparse
from pathlib import Path

from _collection import collect
from _quality import REFERENCES, show_methods

from skhash.hashing import CMFHHasher, FSHHasher, IMHHasher, RandomHyperplaneHasher

METHODS = REFERENCES | {
    "CMFHHasher": (CMFHHasher, {}),
    "FSHHasher": (FSHHasher, {}),
    "IMHHasher": (IMHHasher, {}),
    "RandomHyperplaneHasher, image": (RandomHyperplaneHasher, {"space": "image"}),
}


def main():
    """Print a row a method and collection."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--on", nargs="*", default=["wiki"], help="names of collections")
    parser.add_argument("--pairs", type=Path, nargs="*", default=[], help="files of features")
    parser.add_argument("--bits", type=int, nargs="+", help="32, and 64 for files, by default")
    parser.add_argument("--references", action="store_true", help="the rows of reference alone")
    options = parser.parse_args()
    print(__doc__)
    methods = REFERENCES if options.references else METHODS
    for name in [*options.on, *options.pairs]:
        draws = zip(*(collect([name], seed) for seed in range(options.seeds)), strict=True)
        for collections in draws:
            for n_bits in options.bits or [64 if isinstance(name, Path) else 32]:
                show_methods(methods, n_bits, collections)


if __name__ == "__main__":
    main()
