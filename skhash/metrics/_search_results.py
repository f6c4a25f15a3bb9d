"""The results of a search over hashers: the best candidate of each hasher and code length."""

from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from .._inputs.checks import check_choice
from .._inputs.messages import shorten
from .._ranking.scorer import RetrievalScorer


class SearchPoints(NamedTuple):
    """The best candidate of each hasher and code length, in the order of the grid."""

    hashers: list
    n_bits: np.ndarray
    scores: np.ndarray
    spreads: np.ndarray
    seconds: np.ndarray
    candidates: np.ndarray
    finished: np.ndarray
    failed: list


def read_search(search, hasher=None, metric=None, names=None):
    """Reduce the results of a search to one candidate for each hasher and code length.

    Parameters
    ----------
    search : estimator
        Fitted `GridSearchCV`, `RandomizedSearchCV` or successive halving.
    hasher : str, default=None
        Parameter that holds the hasher; ``""`` for the estimator itself, None finds it.
    metric : str, default=None
        Name of the scorer, where there are several; None takes that of `refit`.
    names : callable, default=None
        Takes the hasher of a candidate and returns the name of its line.

    Returns
    -------
    SearchPoints
        The points; of lines without a finite score only the names, as `failed`.

    Raises
    ------
    ValueError
        If a name is unknown or ambiguous, or no candidate has a finite score.
    TypeError
        If `names` cannot be called.
    """
    if names is not None and not callable(names):
        raise TypeError(
            f"names must be a function that takes a hasher and returns a str, got {shorten(names)}."
        )
    check_is_fitted(search, "cv_results_")
    results = search.cv_results_
    column = _score_column(search, metric)
    mean = np.asarray(results[f"mean_{column}"], dtype=np.float64)
    if not np.isfinite(mean).any():
        raise ValueError(
            f"no candidate of the search has a finite mean_{column}: fit it with "
            "error_score='raise' to find out why."
        )
    place = _find_hasher(search) if hasher is None else _check_hasher(search, hasher)
    default = _at(search.estimator, place)
    given = [params.get(place, default) for params in results["params"]]
    configured = [
        _configure(value, params, place)
        for value, params in zip(given, results["params"], strict=True)
    ]
    labels = _names(given) if names is None else [str(names(value)) for value in configured]
    lengths = np.array([_n_bits(value) for value in configured])
    resources = np.asarray(results.get("n_resources", np.zeros(len(mean))))
    rows = _best_rows(labels, lengths, mean, resources, getattr(search, "best_index_", None))
    order = list(dict.fromkeys(labels))
    rows.sort(key=lambda row: (order.index(labels[row]), lengths[row]))
    drawn = [labels[row] for row in rows]
    return SearchPoints(
        drawn,
        lengths[rows],
        mean[rows],
        np.asarray(results[f"std_{column}"], dtype=np.float64)[rows],
        np.asarray(results["mean_fit_time"], dtype=np.float64)[rows],
        np.array(rows),
        resources[rows] == resources.max(),
        [label for label in order if label not in drawn],
    )


def name_score(search, metric=None):
    """Return what the scores of a search are called on an axis."""
    scorer: Any = search.scoring
    if isinstance(scorer, dict):
        scorer = scorer.get(_score_column(search, metric).removeprefix("test_"))
    if isinstance(scorer, RetrievalScorer):
        name = {"map": "mAP", "ndcg": "NDCG", "hit_rate": "hit rate"}.get(
            scorer.metric, scorer.metric
        )
        return name if scorer.k is None else f"{name} at {scorer.k}"
    if isinstance(scorer, str):
        return scorer
    name = _score_column(search, metric).removeprefix("test_")
    return "score" if name == "score" else name


def _score_column(search, metric):
    """Return the column of the scores in `cv_results_`, without ``mean_`` or ``std_``."""
    columns = [
        name.removeprefix("mean_test_")
        for name in search.cv_results_
        if name.startswith("mean_test_")
    ]
    if metric is None and len(columns) > 1:
        metric = search.refit if isinstance(search.refit, str) else None
        if metric is None:
            raise ValueError(
                f"the search has the scores {', '.join(map(repr, columns))}, and refit names none "
                "of them: give metric."
            )
    return f"test_{columns[0] if metric is None else check_choice(metric, 'metric', columns)}"


def _find_hasher(search):
    """Return the name of the parameter that holds the hashers, or "" for the estimator itself."""
    searched = {
        name
        for params in search.cv_results_["params"]
        for name, value in params.items()
        if _has_length(value)
    }
    if not searched:  # the hasher is a fixed step, or the estimator
        own = search.estimator.get_params(deep=True)
        if "n_bits" in own:
            return ""
        owners = [name.removesuffix("__n_bits") for name in own if name.endswith("__n_bits")]
        searched = {name for name in owners if name in own}
    # Of a pipeline and the hasher inside it, the outer one.
    outer = sorted(n for n in searched if not any(n.startswith(f"{o}__") for o in searched))
    if len(outer) > 1:
        raise ValueError(
            f"the search has hashers in the parameters {', '.join(map(repr, outer))}: say which "
            "with hasher."
        )
    if not outer:
        raise ValueError(
            "the search has no hasher, an estimator with the parameter n_bits: name the parameter "
            "that holds the estimators to compare with hasher, or give hasher=''."
        )
    return outer[0]


def _check_hasher(search, hasher):
    own = search.estimator.get_params(deep=True)
    searched = {name for params in search.cv_results_["params"] for name in params}
    if not isinstance(hasher, str) or (hasher and hasher not in {*own, *searched}):
        raise ValueError(
            f"hasher must be a parameter of the searched estimator, such as 'hash', "
            f"got {shorten(hasher)}."
        )
    return hasher


def _at(estimator, place):
    return estimator.get_params(deep=True).get(place) if place else estimator


def _has_length(value):
    """Say whether a value is an estimator with a code length, or has one inside."""
    if not hasattr(value, "get_params") or isinstance(value, type):
        return False
    return any(name.rpartition("__")[2] == "n_bits" for name in value.get_params(deep=True))


def _configure(value, params, place):
    """Return the hasher of a candidate with the candidate's parameters set."""
    if not hasattr(value, "get_params"):
        return value  # "passthrough", or None
    prefix = f"{place}__" if place else ""
    inner = {
        name.removeprefix(prefix): given
        for name, given in params.items()
        if name.startswith(prefix) and name != place
    }
    return clone(value).set_params(**inner)


def _n_bits(hasher):
    """Return the code length of a hasher; NaN where there is none, or more than one."""
    if not hasattr(hasher, "get_params"):
        return np.nan
    params = hasher.get_params(deep=True)
    given = [value for name, value in params.items() if name.rpartition("__")[2] == "n_bits"]
    return float(given[0]) if len(given) == 1 and given[0] is not None else np.nan


def _names(hashers):
    """Name hashers by their class, and by the parameters in which those of a class differ."""
    spellings = [_spell(hasher) for hasher in hashers]
    values = {}
    for kind, params in spellings:
        for name, value in params.items():
            values.setdefault((kind, name), set()).add(value)
    return [
        ", ".join([kind, *(f"{n}={v}" for n, v in params.items() if len(values[kind, n]) > 1)])
        for kind, params in spellings
    ]


def _spell(hasher):
    """Return the name of a hasher's class, and its parameters as text."""
    if not hasattr(hasher, "get_params"):
        return str(hasher), {}
    if hasattr(hasher, "steps"):
        steps = [_spell(step) for _, step in hasher.steps]
        return " + ".join(kind for kind, _ in steps), {
            name: value for _, params in steps for name, value in params.items()
        }
    params = hasher.get_params(deep=False)
    shown = {n: str(v) for n, v in params.items() if n not in ("n_bits", "random_state")}
    return type(hasher).__name__.removesuffix("Hasher"), shown


def _best_rows(labels, lengths, mean, resources, best):
    """Return the row of the best candidate of each hasher and length, of those with a score."""
    groups = {}
    for row in np.flatnonzero(np.isfinite(mean)):
        key = labels[row], "none" if np.isnan(lengths[row]) else lengths[row]
        groups.setdefault(key, []).append(int(row))
    rows = []
    for group in groups.values():
        if best in group:  # what the search chose, by whatever rule, stands for its group
            rows.append(int(best))
            continue
        # Scores of successive halving are comparable where they are on as many resources.
        most = max(resources[row] for row in group)
        rows.append(max((row for row in group if resources[row] == most), key=mean.__getitem__))
    return rows
