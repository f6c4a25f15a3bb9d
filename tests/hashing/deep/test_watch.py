import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from skhash.hashing._deep.watch import code_statistics, epoch_line, warn_of_collapse


def test_statistics_of_distinct_and_of_equal_codes():
    distinct = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    assert code_statistics(distinct) == {"unique_share": 1.0, "mean_abs": 1.0}
    assert code_statistics(np.full((4, 2), 0.5)) == {"unique_share": 0.25, "mean_abs": 0.5}


def test_the_most_codes_there_can_be_are_limited_by_the_bits():
    codes = np.tile([[1.0], [-1.0]], (50, 1))
    assert code_statistics(codes)["unique_share"] == 1.0


def test_collapse_warns_with_its_figures_and_a_remedy():
    statistics = {"text": {"unique_share": 0.005, "mean_abs": 1.0}}
    with pytest.warns(ConvergenceWarning, match=r"text codes have collapsed.*0\.5%.*1\.00.*Lower"):
        warn_of_collapse(statistics, n_rows=2000)


def test_two_codes_for_many_rows_are_a_collapse():
    with pytest.warns(ConvergenceWarning, match=r"text codes have collapsed"):
        warn_of_collapse({"text": {"unique_share": 2 / 60, "mean_abs": 1.0}}, n_rows=60)


def test_healthy_codes_do_not_warn(recwarn):
    warn_of_collapse({"text": {"unique_share": 0.16, "mean_abs": 0.98}}, n_rows=2000)
    assert not recwarn


def test_a_line_tells_loss_terms_and_score():
    terms = {"cross": 0.25, "total": 0.25}
    assert epoch_line(terms, None) == "loss 0.2500 (cross 0.2500)"
    assert epoch_line(terms, 0.125).endswith(", validation score 0.1250")
