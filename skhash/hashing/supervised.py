"""Hashers that learn from labels, ``fit(X, y)``, as references for those that need none."""

from .._libraries import lazy_names

_MODULES = {
    "DCMHHasher": "_deep.dcmh",
    "DSCMRHasher": "_deep.dscmr",
}

__all__ = sorted(_MODULES)

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
