"""What the parts of `HammingRetriever` share: its parameters, what it holds, checks."""

from typing import Any

from sklearn.base import BaseEstimator

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
from ._ivf import import_faiss

ALGORITHMS = (*_search.ALGORITHMS, "faiss-ivf")


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
    words_: dict[str, Any]
    y_: Any
    paired_: bool
    packed_: bool
    n_samples_fit_: int
    n_features_in_: int
    feature_names_in_: Any
    # How many codes, from the first, train inverted lists. Pickles and saved indexes keep this
    # number, so that the same lists can be built again.
    _n_trained: int
    _lists: dict[str, Any]  # faiss's lists by block, which no pickle holds

    def __getstate__(self):
        state = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_lists"}

    def _check_parameters(self):
        check_parameter(self, "n_neighbors", check_integer)
        check_parameter(self, "radius", check_real, "[0, inf]")
        check_choice(self.algorithm, "algorithm", ALGORITHMS)
        check_n_jobs(self.n_jobs)
        check_parameter(self, "paired", check_flag, optional=True)
        check_parameter(self, "nprobe", check_integer)
        check_parameter(self, "n_lists", check_integer, optional=True)
        check_verbose(self.verbose)
        if self.algorithm == "faiss-ivf":
            import_faiss()

    def _engine(self):
        return {"algorithm": self.algorithm, "n_jobs": self.n_jobs, "verbose": self.verbose}
