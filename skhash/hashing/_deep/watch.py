"""Watching a training run: progress, interruption, collapse."""

import time
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning


class Progress:
    """Print a line an epoch (verbose > 1), or about ten in all (verbose = 1)."""

    def __init__(self, name, n_epochs, verbose):
        self.name, self.n_epochs, self.verbose = name, n_epochs, verbose
        self.started = time.perf_counter()

    def tell(self, done, terms, score):
        """Print the losses and the score of an epoch."""
        every = 1 if self.verbose > 1 else max(1, self.n_epochs // 10)
        if not self.verbose or (done % every and done != self.n_epochs):
            return
        spent = time.perf_counter() - self.started
        parts = ", ".join(f"{term} {value:.4f}" for term, value in terms.items() if term != "total")
        score = "" if score is None else f", validation score {score:.4f}"
        print(
            f"[{self.name}] epoch {done}/{self.n_epochs}: loss {terms['total']:.4f} "
            f"({parts}){score}, {spent:.1f} s, "
            f"about {spent / done * (self.n_epochs - done):.1f} s left",
            flush=True,
        )


def warn_of_interrupt(done, planned):
    """Warn of an interrupted run, and say what the estimator holds."""
    warnings.warn(
        f"training was interrupted after {done} of {planned} epochs: the estimator holds the "
        "weights reached so far and can be used, saved, or trained further with warm_start=True or "
        "partial_fit.",
        ConvergenceWarning,
        stacklevel=4,
    )


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
