"""CFRH and Consensus on Wiki, official features, beside linear references, over seeds and lengths.

Two protocols, each with the 693 test pairs as queries; an item is relevant if it has the query's
category (10 in all). *Database trained on*: the 2,173 training pairs are the database, which is the
field's habit. *Database apart*: a random half of the training pairs is trained on, the other half
is searched. CFRH and Consensus have their defaults, the linear hashers a ridge that
cross-validation chose on training pairs (``_quality.py``); no label is seen in training or
selection. Two numbers a direction: mean average precision over all ranks, and mAP@50 with
``normalize="hits"`` (cut at 50, divided by the relevant items among the 50: the definition of the
DJSRH, JDSH and CFRH code). Ties count in expectation over their order.

Run it with ``python benchmarks/wiki.py [--seeds 5] [--bits 16 32 64 128] [--methods CFRH]``, where
``fetch_wiki`` finds the data.
"""

import argparse
import platform
import warnings

import numpy as np
import sklearn
import torch
from _collection import collect
from _quality import REFERENCES, applies, both_directions, choose, fit, random_codes
from sklearn.exceptions import ConvergenceWarning

import skhash
from skhash.hashing import CFRHHasher, ConsensusHasher

PROTOCOLS = {"wiki": "database trained on", "wiki-apart": "database apart"}
METHODS = REFERENCES | {"Consensus": (ConsensusHasher, {}), "CFRH": (CFRHHasher, {})}

# mAP@50, image to text and text to image, at 16, 32, 64 and 128 bits. Both rows are from the table
# in DJSRH's public repository (Su et al., ICCV 2019); their queries and database are those of the
# first protocol.
PUBLISHED = {
    "CMFH, hand-crafted features": (
        [0.251, 0.253, 0.259, 0.263],
        [0.595, 0.601, 0.616, 0.622],
    ),
    "DJSRH, fine-tuned AlexNet": (
        [0.388, 0.403, 0.412, 0.421],
        [0.611, 0.635, 0.646, 0.658],
    ),
}


def scores(encode, collection):
    """Return (all ranks, at 50) of both directions, four numbers."""
    return [score for k in (None, 50) for score in both_directions(encode, collection, k=k)]


def hasher_scores(make, parameters, n_bits, seed, collection):
    """Fit; return the scores, the seconds and the hasher."""
    hasher = make(n_bits, n_image_features=collection.n_image, random_state=seed, **parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)  # a seed that collapses must not pass
        best = choose(hasher, collection, seed)
        hasher, seconds = fit(hasher.set_params(**best), collection)
    return scores(hasher.transform, collection), seconds, hasher


def line(name, rows, note=""):
    means, spreads = np.mean(rows, axis=0), np.std(rows, axis=0)
    cells = "  ".join(f"{m:.3f} ± {s:.3f}" for m, s in zip(means, spreads, strict=True))
    print(f"{name:<36}{cells}  {note}", flush=True)


def compare(n_bits, collections, methods):
    """Print a row a method."""
    random = [scores(random_codes(n_bits, seed), c) for seed, c in enumerate(collections)]
    line(f"random codes, {n_bits} bits", random)
    for name in methods:
        if not applies(*METHODS[name], collections[0]):
            continue
        runs = [hasher_scores(*METHODS[name], n_bits, s, c) for s, c in enumerate(collections)]
        note = f"{np.median([seconds for _, seconds, _ in runs]):.2f} s"
        if hasattr(runs[0][2], "code_statistics_"):
            blocks = ("image", "text")
            statistics = [hasher.code_statistics_[b] for *_, hasher in runs for b in blocks]
            share = min(v["unique_share"] for v in statistics)
            note += f", at least {share:.0%} of the codes distinct"
        line(f"{name}, {n_bits} bits", [run[0] for run in runs], note)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--bits", type=int, nargs="+", default=[16, 32, 64, 128])
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=list(METHODS))
    arguments = parser.parse_args()
    print(__doc__)
    print(
        f"skhash {skhash.__version__}, torch {torch.__version__}, "
        f"scikit-learn {sklearn.__version__}, numpy {np.__version__}, "
        f"Python {platform.python_version()}"
    )
    print(f"mean ± standard deviation over {arguments.seeds} seeds")
    heads = "  ".join(f"{h:<13}" for h in ("I2T all", "T2I all", "I2T @50", "T2I @50"))
    for name, title in PROTOCOLS.items():
        print(f"\n{title:<36}{heads}")
        collections = [next(collect([name], seed)) for seed in range(arguments.seeds)]
        for n_bits in arguments.bits:
            compare(n_bits, collections, arguments.methods)
    print(
        "\npublished mAP@50, 16 / 32 / 64 / 128 bits (hand-crafted or other features: not our runs)"
    )
    for name, (to_text, to_image) in PUBLISHED.items():
        print(f"  {name:<30} I2T {to_text}  T2I {to_image}")


if __name__ == "__main__":
    main()
