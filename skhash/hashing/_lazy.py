"""Classes that are imported when they are first used, since some of them load torch."""

import sys
from importlib import import_module


def lazy(name, modules):
    """Return the ``__getattr__`` and the ``__dir__`` of a module whose classes are elsewhere.

    Parameters
    ----------
    name : str
        Name of the module, its ``__name__``.
    modules : dict of str to str
        Names of the classes, and the modules that define them, relative to this package.

    Returns
    -------
    callable, callable
        The two functions.
    """

    def find(attribute):
        if attribute in modules:
            return getattr(import_module(f".{modules[attribute]}", __package__), attribute)
        raise AttributeError(f"module {name!r} has no attribute {attribute!r}")

    def names():
        return sorted([*vars(sys.modules[name]), *modules])

    return find, names
