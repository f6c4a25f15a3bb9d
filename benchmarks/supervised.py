"""The hashers that learn from labels, beside random codes and hashers that need none.

Protocols are those of ``_collection.py``: Wiki's official split, digits and files with classes, and
the same with a database apart from training (``NAME-apart``). Labels of training pairs are given to
the supervised hashers alone; labels of queries and databases only score. Mean average precision
over all ranks, ties in expectation, images to texts and texts to images, mean ± standard deviation
over seeds; seconds of the process's CPU time. All seeds share the splits of seed 0: the defaults of
the supervised hashers were chosen by labels of the training pairs of these, so that other splits
would have queries whose labels have had a part in that choice. The ridge of CCA + ITQ is chosen on
training pairs as in ``benchmarks/linear.py``.

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
