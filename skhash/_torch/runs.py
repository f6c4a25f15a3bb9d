"""What all training runs share: held-out rows, the epochs that are kept, and progress lines."""

import time
from math import inf

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GroupShuffleSplit

from .._inputs.messages import warn


def hold_out(n_rows, groups, fraction, seed):
    """Split rows into training and validation rows, both ascending; a group is never split.

    Parameters
    ----------
    n_rows : int
        Number of rows.
    groups : ndarray of shape (n_rows,) or None
        Ids of the rows.
    fraction : float
        Share of the groups to validate on, in (0, 1).
    seed : int
        Seed of the split.

    Returns
    -------
    training, validation : ndarray, int
        The rows.

    Raises
    ------
    ValueError
        If all rows are of one group.
    """
    groups = np.arange(n_rows) if groups is None else groups
    if (groups == groups[0]).all():
        raise ValueError(
            f"all {n_rows} rows are of one group, which is never split: give the rows different "
            "groups, or pass X_val, or set early_stopping=False."
        )
    split = GroupShuffleSplit(1, test_size=fraction, random_state=seed)
    return next(split.split(groups, groups=groups))


class Epochs:
    """The epochs of a training run, as a context: the last whole one and the best one are kept.

    At the end of the context the module has the weights of the best epoch if epochs have a score,
    else those of the last one. Ctrl-C and a loss that is not finite end training with a warning,
    and the weights of the epoch that was under way are not used. They are raised if too few epochs
    are whole.

    Parameters
    ----------
    module : torch.nn.Module
        What is trained.
    planned : int
        Number of epochs that are planned.
    needed : int, default=1
        Number of whole epochs before which the weights are of no use.
    tol : float, default=0.0
        Smallest rise of the score that counts as an improvement.
    patience : int, default=1
        Number of epochs without an improvement after which training is to stop.

    Attributes
    ----------
    done : int
        Number of whole epochs.
    kept : int
        Number of the epoch whose weights are kept, counted from 1.
    broken : bool
        Whether an epoch has been broken off, which leaves optimizers in an undefined state.
    """

    def __init__(self, module, planned, *, needed=1, tol=0.0, patience=1):
        self._module, self._planned, self._needed = module, planned, needed
        self._tol, self._patience = tol, patience
        self.done, self.kept, self.broken = 0, 0, False
        self._score, self._waited, self._best = -inf, 0, None
        self._last = None

    @property
    def stopped(self):
        """Whether the score has not improved for long enough."""
        return self._waited >= self._patience

    def add(self, score=None):
        """Keep the weights after a whole epoch; None means that it has no score.

        Raises
        ------
        FloatingPointError
            If a weight is not finite.
        """
        if not all(bool(weight.isfinite().all()) for weight in self._module.parameters()):
            raise FloatingPointError(
                f"the weights are not finite after epoch {self.done + 1}: lower learning_rate."
            )
        self._last = _copy(self._module)
        self.done += 1
        if score is None:
            self.kept = self.done
            return
        self._waited = 0 if score > self._score + self._tol else self._waited + 1
        if score > self._score:
            self._score, self._best, self.kept = score, self._last, self.done

    def state(self):
        """Return what a checkpoint needs beside the weights."""
        return {
            "done": self.done,
            "kept": self.kept,
            "score": self._score,
            "waited": self._waited,
            "best": self._best,
        }

    def resume(self, state):
        """Go on from what `state` has returned, with the weights that the module has now."""
        self.done, self.kept, self._score = state["done"], state["kept"], state["score"]
        self._waited, self._best = state["waited"], state["best"]
        self._last = _copy(self._module)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None:
            ends_well = isinstance(error, (KeyboardInterrupt, FloatingPointError))
            if not ends_well or self.done < self._needed:
                return False
            self.broken = True
            self._module.load_state_dict(self._last)
            why = str(error).rstrip(".") or "interrupted"
            which = "last whole" if self._best is None else "best"
            warn(
                f"training ended after {self.done} of {self._planned} epochs ({why}): the "
                f"estimator has the weights of the {which} epoch and can be used, saved, or "
                "trained further with warm_start=True.",
                ConvergenceWarning,
            )
        if self._best is not None:
            self._module.load_state_dict(self._best)
        return True


def _copy(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


class Progress:
    """Print a line an epoch (verbose > 1), or about ten in all (verbose = 1).

    Parameters
    ----------
    name : str
        Name of the estimator.
    planned : int
        Number of epochs that are planned.
    verbose : int
        How much to print; 0 means nothing.
    done : int, default=0
        Number of epochs before, of a run that goes on.
    """

    def __init__(self, name, planned, verbose, done=0):
        self._name, self._planned, self._verbose = name, planned, verbose
        self._started, self._before = time.perf_counter(), done

    def tell(self, done, about):
        """Print the number of whole epochs, what there is to say about the last one, and times."""
        every = 1 if self._verbose > 1 else max(1, self._planned // 10)
        if not self._verbose or (done % every and done != self._planned):
            return
        spent = time.perf_counter() - self._started
        left = spent / (done - self._before) * (self._planned - done)
        print(
            f"[{self._name}] epoch {done}/{self._planned}: {about}, {spent:.1f} s, "
            f"about {left:.1f} s left",
            flush=True,
        )
