"""Watching a training run: losses, collapse."""

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from ..._inputs.messages import warn

FEW = 16  # held-out pairs below which their distance says little


def epoch_line(terms, score):
    """Return the losses of an epoch and its validation score, if it has one, as text."""
    parts = ", ".join(f"{term} {value:.4f}" for term, value in terms.items() if term != "total")
    score = "" if score is None else f", validation score {score:.4f}"
    return f"loss {terms['total']:.4f} ({parts}){score}"


def code_statistics(codes):
    """Describe real codes by what goes wrong first when training collapses.

    Parameters
    ----------
    codes : ndarray of shape (n_samples, n_bits)
        Real codes.

    Returns
    -------
    dict
        ``unique_share``, distinct binary codes as a share of the most there could be, and
        ``mean_abs``, the mean of ``|tanh|``: 1 means saturated.
    """
    n_rows, n_bits = codes.shape
    packed = np.packbits(codes >= 0, axis=1)
    most = min(n_rows, 2 ** min(n_bits, 62))
    return {
        "unique_share": len(np.unique(packed, axis=0)) / most,
        "mean_abs": float(np.abs(codes).mean()),
    }


def warn_of_collapse(statistics, n_rows, n_labels=None, threshold=0.02):
    """Warn where nearly all rows have the same few codes.

    With labels, rows of the same labels may well have the same code: codes have collapsed where
    there are fewer of them than half the labels.
    """
    few = max(threshold, 2 / n_rows)
    if n_labels is not None:
        few = min(few, n_labels / 2 / n_rows)
    for block, values in statistics.items():
        share = values["unique_share"]
        # Few rows prove nothing: with more rows than codes, two rows must share a code.
        if n_rows >= 8 and share <= few:
            warn(
                f"the {block} codes have collapsed: of {n_rows} rows only {share:.1%} of the "
                "possible codes are distinct, and the mean of |tanh| is "
                f"{values['mean_abs']:.2f}. Lower learning_rate or hidden_units, or check the "
                "features for constant rows.",
                ConvergenceWarning,
            )


def pair_distances(image, text):
    """Measure how far the codes of pairs are apart, as shares of the bits.

    Parameters
    ----------
    image, text : ndarray of shape (n_pairs, n_bits), bool
        Codes.

    Returns
    -------
    distance : float
        The mean over pairs.
    strangers : float
        The mean over all images and all texts.
    """
    p, q = image.mean(axis=0), text.mean(axis=0)
    return float(np.mean(image != text)), float(np.mean(p * (1 - q) + q * (1 - p)))


def warn_of_memory(distance, held_out_distance=None, stranger_distance=None):
    """Warn where the codes agree for pairs that were trained on, and for no others."""
    if held_out_distance is None or stranger_distance is None:
        return
    if held_out_distance > 0.95 * stranger_distance and distance < 0.5 * held_out_distance:
        warn(
            f"the two codes of a training pair differ in {distance:.0%} of their bits, those of a "
            f"held-out pair in {held_out_distance:.0%}, like those of unrelated rows "
            f"({stranger_distance:.0%}): the networks have memorised the training pairs. Check "
            "that the rows of both blocks belong together; with few pairs, fit CCAHasher, or raise "
            "weight_decay.",
            ConvergenceWarning,
        )
