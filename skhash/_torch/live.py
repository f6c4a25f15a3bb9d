"""Torch objects of fitted estimators, which hold NumPy arrays only."""

import weakref


class Live:
    """Torch objects beside estimators, by estimator, so that a pickle never contains them.

    An object counts as long as the estimator has the weights that the object was kept with.
    """

    def __init__(self):
        self._kept = weakref.WeakKeyDictionary()

    def keep(self, estimator, weights, live):
        """Keep an object, which has a `device`, with the weights that it was made from."""
        self._kept[estimator] = weights, live

    def get(self, estimator, weights, device):
        """Return the object of an estimator, or None if it has other weights or another device."""
        of, live = self._kept.get(estimator, (None, None))
        return live if live is not None and of is weights and live.device == device else None

    def drop(self, estimator):
        """Forget the object of an estimator, for example before its weights change."""
        self._kept.pop(estimator, None)
