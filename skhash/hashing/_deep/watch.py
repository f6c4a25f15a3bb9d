"""Watching a training run: losses, collapse."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning


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


def warn_of_collapse(statistics, n_rows, threshold=0.02):
    """Warn where nearly all rows have the same few codes."""
    for block, values in statistics.items():
        share = values["unique_share"]
        # Few rows prove nothing: with more rows than codes, two rows must share a code.
        if n_rows >= 8 and share <= max(threshold, 2 / n_rows):
            warnings.warn(
                f"the {block} codes have collapsed: of {n_rows} rows only {share:.1%} of the "
                "possible codes are distinct, and the mean of |tanh| is "
                f"{values['mean_abs']:.2f}. Lower learning_rate or hidden_units, or check the "
                "features for constant rows.",
                ConvergenceWarning,
                stacklevel=5,
            )
