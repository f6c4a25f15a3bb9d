"""Cross-modal hashing with a scikit-learn API.

Images and texts become short binary codes in one Hamming space, learned from pairs alone, and are
searched exactly. There are five modules, each loaded when it is first used:

========================= ================================================
:mod:`skhash.features`    images and texts to feature vectors
:mod:`skhash.hashing`     feature vectors to binary codes
:mod:`skhash.retrieval`   binary codes to neighbours
:mod:`skhash.metrics`     neighbours to scores
:mod:`skhash.datasets`    data sets of pairs
========================= ================================================

All share one kind of table, see :func:`make_table`, and the codes of :mod:`skhash.codes`.
"""

from importlib import import_module

__version__ = "0.1.0.dev0"

_FUNCTIONS = {
    "make_table": "_blocks",
    "show_versions": "_libraries",
    "split_towers": "_estimators",
    "trusted_types": "_estimators",
}

__all__ = [  # noqa: RUF022  modules first
    "codes",
    "datasets",
    "features",
    "hashing",
    "metrics",
    "retrieval",
    "make_table",
    "show_versions",
    "split_towers",
    "trusted_types",
]


def __getattr__(name):
    if name in _FUNCTIONS:
        return getattr(import_module(f"{__name__}.{_FUNCTIONS[name]}"), name)
    if name in __all__:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
