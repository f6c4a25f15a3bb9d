"""What the numbers on Wiki depend on besides the method: definitions, ties, collapse.

Same protocol and features as ``benchmarks/wiki.py``. The user guide quotes this script's tables.
They are shown, never used to choose anything.
"""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skhash.datasets import fetch_wiki
from skhash.hashing import CFRHHasher
from skhash.metrics import mean_average_precision


def codes(hasher, pairs):
    """Return image codes and text codes."""
    return np.split(hasher.transform(pairs.data), 2, axis=1)


def line(name, hasher, train, test, **options):
    """Print the mAP of both directions."""
    (image, text), (image_gallery, text_gallery) = codes(hasher, test), codes(hasher, train)
    labels = test.target, train.target
    to_text = mean_average_precision(image, text_gallery, *labels, **options)
    to_image = mean_average_precision(text, image_gallery, *labels, **options)
    print(f"  {name:<28}{to_text:>8.3f}{to_image:>8.3f}", flush=True)


def main():
    """Print the three tables."""
    train, test = fetch_wiki(subset="train"), fetch_wiki(subset="test")
    hasher = CFRHHasher(32, n_image_features=128, random_state=0).fit(train.data)
    print("the same codes (defaults, 32 bits, seed 0), image to text and text to image")
    for normalize in ("hits", "possible", "relevant"):
        line(f"mAP@50, {normalize!r}", hasher, train, test, k=50, normalize=normalize)
    line("mAP over all ranks", hasher, train, test)
    print("the same, over all ranks, by order of ties")
    for ties in ("optimistic", "expected", "index", "pessimistic"):
        line(ties, hasher, train, test, ties=ties)

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
                hasher.fit(train.data)
            distinct = len(np.unique(codes(hasher, train)[1], axis=0))
            note = f"decoders {weight}, {distinct} codes" + ", warned" * bool(caught)
            line(note, hasher, train, test)


if __name__ == "__main__":
    main()
