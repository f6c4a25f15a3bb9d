"""The scores of each query."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from skhash._hamming import search
from skhash._hamming.comparable import comparable
from skhash._ranking.scores import average_precisions


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), n_gallery=st.integers(2, 60))
def test_without_ties_it_is_the_average_precision_of_scikit_learn(seed, n_gallery):
    rng = np.random.default_rng(seed)
    query, gallery = rng.normal(size=(1, 6)), rng.normal(size=(n_gallery, 6))
    relevant = rng.random(n_gallery) < 0.4
    relevant[0] = True
    cosine = (gallery @ query[0]) / np.linalg.norm(gallery, axis=1)
    (score,) = average_precisions(
        *comparable(query, gallery), [1], relevant, k=None, ties="expected", normalize="hits"
    )
    assert score == pytest.approx(average_precision_score(relevant, cosine), abs=1e-12)


def test_threads_and_engine_reach_the_search(monkeypatch):
    seen = []
    original = search.histograms

    def spy(*sides, **options):
        seen.append((options["n_jobs"], options["algorithm"]))
        return original(*sides, **options)

    monkeypatch.setattr(search, "histograms", spy)
    rng = np.random.default_rng(0)
    words = comparable(rng.random((4, 3)) < 0.5, rng.random((9, 3)) < 0.5)
    labels = [np.arange(4) % 2, np.arange(9) % 2]
    options = {"k": None, "ties": "expected", "normalize": "hits"}
    average_precisions(*words, *labels, **options, n_jobs=1, algorithm="numpy")
    average_precisions(*words, *labels, **options)
    assert seen == [(1, "numpy"), (None, "auto")]
