"""Watching a contrastive training run: progress, the best weights, when to stop."""

import math
import time
import warnings

from sklearn.exceptions import ConvergenceWarning

from .objective import own_rank


class Watch:
    """Tells of epochs, keeps the best weights, and knows when to stop.

    Parameters
    ----------
    n_epochs : int
        Epochs that are planned.
    stopping : Stopping
        When training ends early.
    verbose : int
        Whether to print.
    """

    def __init__(self, n_epochs, stopping, verbose):
        self.n_epochs, self.stopping, self.verbose = n_epochs, stopping, verbose
        self.best, self.waited, self.state = -math.inf, 0, None
        self.started, self.first = time.perf_counter(), None

    @property
    def stopped(self):
        """Whether the recall has not risen for long enough."""
        return self.waited >= self.stopping.n_iter_no_change

    def see(self, rows, weights):
        """Look at the last epoch and at a copy of the weights that it has left."""
        row, done = rows[-1], len(rows)
        self.first = done if self.first is None else self.first
        if self.stopping.early_stopping:
            score = (row["i2t_r1"] + row["t2i_r1"]) / 2
            self.waited += 1
            if score > self.best:
                self.best, self.waited, self.state = score, 0, weights
        if self.verbose and own_rank() == 0:
            self._tell(row, done)

    def saved(self):
        """Return what a checkpoint holds of it."""
        return {"best": self.best, "waited": self.waited, "state": self.state}

    def resume(self, saved):
        """Go on from what `saved` has returned."""
        self.best, self.waited, self.state = saved["best"], saved["waited"], saved["state"]

    def _tell(self, row, done):
        spent = time.perf_counter() - self.started
        left = spent / (done - self.first + 1) * (self.n_epochs - done)
        stage = row["stage"] + (f" {row['round']}" if row["round"] else "")
        terms = ", ".join(f"{k} {row[k]:.3f}" for k in ("cross", "image", "text") if k in row)
        recall = f", R@1 {row['i2t_r1']:.3f} / {row['t2i_r1']:.3f}" if "i2t_r1" in row else ""
        print(
            f"[ContrastiveFeaturizer] epoch {done}/{self.n_epochs} ({stage}): {terms}{recall}, "
            f"{spent:.0f} s, about {left:.0f} s left",
            flush=True,
        )


def warn_of_the_end(what, done, n_epochs):
    """Say why training ended early, and what is kept."""
    warnings.warn(
        f"training ended after {done} of {n_epochs} epochs, {what}: the featurizer holds the "
        "weights of the last whole epoch and can be used, saved, or trained further with "
        "warm_start=True.",
        ConvergenceWarning,
        stacklevel=5,
    )
