"""Quality and time of hashers that learn from labels, compared with random codes and others.

The protocols are those of ``_collection.py``: Wiki's official split, digits and files with classes,
and the same with a database that is disjoint from the training pairs (``NAME-apart``). Only the
supervised hashers get labels of training pairs; labels of queries and databases are used only for
scores. Scores are mean average precision over all ranks, ties in expectation, images to texts and
texts to images, mean ± standard deviation over seeds; seconds are CPU time. All seeds use the
splits of seed 0. The defaults of the supervised hashers were selected by labels of the training
pairs of these splits; in other splits, some of these pairs would be queries. The ridge of CCA + ITQ
is selected on training pairs as in ``benchmarks/linear.py``.

Run it with ``OMP_NUM_THREADS=1 python benchmarks/supervised.py [--on wiki wiki-apart digits a.npz]
[--bits 16 32] [--seeds 3]``, where ``fetch_wiki`` finds the data.
"""

import argparse

from _collection import collect
from _quality import REFERENCES, show_methods

from skhash.hashing import ConsensusHasher
from skhash.hashing.supervised import DCMHHasher, DSCMRHasher

METHODS = {
    "CCA + ITQ": REFERENCES["CCA + ITQ"],
    "consensus": (ConsensusHasher, {}),
    "DCMH (labels)": (DCMHHasher, {}),
    "DSCMR (labels)": (DSCMRHasher, {}),
}


def main():
    """Print a row a method, collection and length."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--bits", type=int, nargs="+", default=[16, 32])
    known = ["wiki", "wiki-apart", "digits"]
    parser.add_argument("--on", nargs="+", default=known, help="names or files of collections")
    options = parser.parse_args()
    print(__doc__)
    for name in options.on:
        for collection in collect([name], seed=0):
            for n_bits in options.bits:
                show_methods(METHODS, n_bits, [collection] * options.seeds)


if __name__ == "__main__":
    main()
