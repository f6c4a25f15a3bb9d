"""Cross-modal hashing in scikit-learn's manners.

Images and texts become short binary codes in one Hamming space, learned from pairs alone, and are
searched exactly. Five rooms, each a submodule that is loaded when it is first used:

========================= ================================================
:mod:`skhash.features`    pixels and words to vectors
:mod:`skhash.hashing`     vectors to bits
:mod:`skhash.retrieval`   bits to neighbours
:mod:`skhash.metrics`     neighbours to numbers
:mod:`skhash.datasets`    where pairs come from
========================= ================================================

The table that they all share is described in :func:`make_table`, the codes in :mod:`skhash.codes`.
"""

from importlib import import_module

__version__ = "0.1.0.dev0"

_FUNCTIONS = {
    "make_table": "_blocks",
    "show_versions": "_libraries",
    "split_towers": "_estimators",
}

__all__ = [  # noqa: RUF022  rooms first
    "codes",
    "datasets",
    "features",
    "hashing",
    "metrics",
    "retrieval",
    "make_table",
    "show_versions",
    "split_towers",
]


def __getattr__(name):
    if name in _FUNCTIONS:
        return getattr(import_module(f"{__name__}.{_FUNCTIONS[name]}"), name)
    if name in __all__:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
