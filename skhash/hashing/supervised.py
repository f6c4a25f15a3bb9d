"""Hashers that learn from labels, ``fit(X, y)``, as references for those that need none."""

from importlib import import_module

_MODULES = {
    "DCMHHasher": "_deep.dcmh",
    "DSCMRHasher": "_deep.dscmr",
}

__all__ = sorted(_MODULES)


def __getattr__(name):
    if name in _MODULES:
        return getattr(import_module(f".{_MODULES[name]}", __package__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
