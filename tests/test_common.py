"""What scikit-learn asks of the parameters of every public estimator."""

import inspect

import pytest
from sklearn.base import BaseEstimator
from sklearn.utils.estimator_checks import (
    check_estimator_cloneable,
    check_get_params_invariance,
    check_no_attributes_set_in_init,
    check_parameters_default_constructible,
    check_set_params,
)

import skhash

from .hashers import HASHERS

ESTIMATORS = [
    value
    for module in ("features", "metrics", "retrieval")
    for name in getattr(skhash, module).__all__
    if inspect.isclass(value := getattr(getattr(skhash, module), name))
    and issubclass(value, BaseEstimator)
] + list(HASHERS.values())
CHECKS = [
    check_estimator_cloneable,
    check_get_params_invariance,
    check_no_attributes_set_in_init,
    check_parameters_default_constructible,
    check_set_params,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: estimator.__name__)
def test_parameters_keep_the_conventions(estimator, check):
    check(estimator.__name__, estimator())
