"""What the parts of `HammingRetriever` share: its parameters, what it holds, checks."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from .._estimators import Documented
from .._hamming import search as _search
from .._inputs.checks import (
    check_choice,
    check_flag,
    check_integer,
    check_n_jobs,
    check_parameter,
    check_real,
    check_verbose,
)
from .._ranking.reranking import check_rerank
from ._ids import Ids
from ._ivf import import_faiss

ALGORITHMS = (*_search.ALGORITHMS, "faiss-ivf")
_NOT_PICKLED = ("_lists", "_dense", "_journal")  # what can be made again, and the open folder


class Index(Documented, BaseEstimator):
    """Parameters and attributes of an index, which `HammingRetriever` describes."""

    n_neighbors: int
    radius: float
    algorithm: str
    n_jobs: int | None
    paired: bool | None
    nprobe: int
    n_lists: int | None
    verbose: int
    rerank: str | None
    n_candidates: int
    words_: dict[str, Any]
    y_: Any
    vectors_: Any
    paired_: bool
    packed_: bool
    n_samples_fit_: int
    n_features_in_: int
    feature_names_in_: Any
    _keep: Any  # which rows are not removed; None where all are there
    _n_items: int  # how many these are
    _ids: Ids
    # How many rows, from the first, train inverted lists. Pickles and saved indexes keep this
    # number, so that the same lists can be built again.
    _n_trained: int
    _lists: dict[str, Any]  # faiss's lists by block
    _dense: dict[str, Any]  # copies of the words of rows that are not removed, by block
    _journal: Any = None  # where changes are written, of an index that was opened with durable=True

    @property
    def ids_(self):
        """The `ids` of all rows.

        If it is None, the id of an item is the number of items that were added before it.
        """
        return self._ids.values if self._ids.own else None

    @property
    def n_bits_(self):
        """Length of a code in bits; eight times the number of bytes for packed codes."""
        n_columns = self.n_features_in_ // (1 + self.paired_)
        return 8 * n_columns if self.packed_ else n_columns

    def __len__(self):
        check_is_fitted(self)
        return self._n_items

    def __bool__(self):
        return True  # whatever the number of items

    def __repr__(self, N_CHAR_MAX=700):
        # scikit-learn breaks lines only where a class has its own __repr__.
        plain = type(type(self).__name__, (BaseEstimator,), {"__init__": type(self).__init__})
        text = BaseEstimator.__repr__(plain(**self.get_params(deep=False)), N_CHAR_MAX)
        index = at_once(self)
        if not hasattr(index, "words_"):
            return text
        n_bytes = sum(w.itemsize * w.shape[0] * w.shape[1] for w in index.words_.values())
        n_removed = index.n_samples_fit_ - len(index)
        pairs = "2 x " if index.paired_ else ""
        items = f"{len(index):,} items of {pairs}{index.n_bits_:,} bits in {_size(n_bytes)}"
        return f"{text}: {items}" + (f", {n_removed:,} removed" if n_removed else "")

    def __getstate__(self):
        state = super().__getstate__()
        return {name: value for name, value in state.items() if name not in _NOT_PICKLED}

    def _record(self, operation, arrays):
        """Write a change that has been made into the journal of the index, if it has one."""
        raise NotImplementedError

    def _check_parameters(self):
        check_parameter(self, "n_neighbors", check_integer)
        check_parameter(self, "radius", check_real, "[0, inf]")
        check_choice(self.algorithm, "algorithm", ALGORITHMS)
        check_n_jobs(self.n_jobs)
        check_parameter(self, "paired", check_flag, optional=True)
        check_parameter(self, "nprobe", check_integer)
        check_parameter(self, "n_lists", check_integer, optional=True)
        check_verbose(self.verbose)
        check_rerank(self.rerank, self.n_candidates)
        check_parameter(self, "n_candidates", check_integer)
        if self.algorithm == "faiss-ivf":
            import_faiss()

    def _item_rows(self):
        """Return the rows that are not removed."""
        return np.arange(self.n_samples_fit_) if self._keep is None else np.flatnonzero(self._keep)


def at_once(index):
    """Return an index of the same attributes that another thread's change does not alter.

    A change replaces all attributes of an index together, so a call that reads several of them
    reads them here, and answers as the index was when it began.
    """
    view = object.__new__(type(index))
    view.__dict__ = vars(index)
    return view


def _size(n_bytes):
    """Write a number of bytes.

    >>> _size(8), _size(16_000), _size(8e9)
    ('8 bytes', '16 kB', '8 GB')
    """
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= size:
            return f"{n_bytes / size:.3g} {unit}"
    return f"{n_bytes} bytes"
