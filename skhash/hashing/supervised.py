"""Hashers that learn from labels, ``fit(X, y)``, as references for those that need none."""

from ._lazy import lazy

_MODULES = {
    "DCMHHasher": "_deep.dcmh",
    "DSCMRHasher": "_deep.dscmr",
}

__all__ = sorted(_MODULES)

__getattr__, __dir__ = lazy(__name__, _MODULES)
