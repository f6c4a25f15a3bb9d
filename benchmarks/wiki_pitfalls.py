"""Scores on Wiki by the definition of mAP, the treatment of ties, and collapse of the codes.

The features are the official ones, with the first protocol of the leaderboard: the 2,173 training
pairs are the database, the 693 test pairs the queries. CFRH uses its defaults; the ridge of the
reference methods is selected by cross-validation on training pairs (``_quality.py``). The user
guide shows the tables of this script. They are not used to select anything.
"""

import warnings

import numpy as np
from _collection import collect
from _quality import REFERENCES, applies, both_directions, choose, random_codes
from sklearn.exceptions import ConvergenceWarning

from skhash.hashing import CFRHHasher

SEED = 0


def encoders(n_bits, collection, methods):
    """Return what turns pairs into codes, for each method and for random codes."""
    found = {}
    for name, (make, parameters) in methods.items():
        if applies(make, parameters, collection):
            hasher = make(n_bits, n_image_features=128, random_state=SEED, **parameters)
            hasher.set_params(**choose(hasher, collection, SEED)).fit(collection.train)
            found[name] = hasher.transform
    # The same random codes at each call, so that only the definition changes.
    return found | {"random codes": lambda X: random_codes(n_bits, len(X))(X)}


def line(name, scores):
    """Print the mAP of both directions, for each method."""
    cells = (f"{to_text:.3f} / {to_image:.3f}" for to_text, to_image in scores)
    print(f"  {name:<50}" + "".join(f"{cell:<26}" for cell in cells), flush=True)


def main():
    """Print the three tables."""
    (collection,) = collect(["wiki"], SEED)
    methods = {"CFRH": (CFRHHasher, {})} | REFERENCES
    encode = encoders(32, collection, methods)
    print("the same codes (32 bits, seed 0), image to text / text to image")
    print(f"  {'':<50}" + "".join(f"{name:<26}" for name in encode))
    for normalize in ("hits", "possible", "relevant"):
        options = {"k": 50, "normalize": normalize}
        scores = [both_directions(codes, collection, **options) for codes in encode.values()]
        line(f"mAP@50, {normalize!r}", scores)
    line("mAP over all ranks", [both_directions(codes, collection) for codes in encode.values()])
    print("the same, over all ranks, by order of ties")
    for ties in ("optimistic", "expected", "index", "pessimistic"):
        scores = [both_directions(codes, collection, ties=ties) for codes in encode.values()]
        line(ties, scores)

    print(
        "the plain recipe (SGD, 0.01, batches of 32, 40 epochs, not centred), 16 bits, seeds 0 to 2"
    )
    plain = {"optimizer": "sgd", "learning_rate": 0.01, "batch_size": 32, "max_iter": 40}
    plain |= {"center": False, "intra_weight": 0.1, "n_image_features": 128}
    for weight in (0.0, 0.1):
        for seed in range(3):
            hasher = CFRHHasher(16, reconstruction_weight=weight, random_state=seed, **plain)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", ConvergenceWarning)
                hasher.fit(collection.train)
            note = f"decoders {weight}, {count(hasher.transform, collection)} text codes"
            line(note + ", warned" * bool(caught), [both_directions(hasher.transform, collection)])
    for name, codes in encoders(16, collection, REFERENCES).items():
        note = f"{name}, {count(codes, collection)} text codes"
        line(note, [both_directions(codes, collection)])


def count(codes, collection):
    """Count the distinct codes of the training texts."""
    return len(np.unique(np.split(codes(collection.train), 2, axis=1)[1], axis=0))


if __name__ == "__main__":
    main()
