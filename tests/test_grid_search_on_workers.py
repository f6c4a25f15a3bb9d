"""Tuning on Dask workers, which joblib sends the fits to."""

import joblib
import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV

from skhash.hashing import CCAHasher, CFRHHasher
from skhash.metrics import RetrievalScorer

pytest.importorskip("distributed")


@pytest.mark.parametrize(
    ("hasher", "grid"),
    [
        (CCAHasher(n_image_features=6, random_state=0), {"n_bits": [2, 4]}),
        (
            CFRHHasher(n_image_features=6, max_iter=2, batch_size=10, random_state=0),
            {"n_bits": [8, 16]},
        ),
    ],
    ids=["closed form", "trained"],
)
def test_scores_are_those_of_one_process(cluster, pairs, hasher, grid):
    search = GridSearchCV(hasher, grid, scoring=RetrievalScorer(), cv=3)
    expected = search.fit(pairs).cv_results_
    with joblib.parallel_config(backend="dask"):
        found = search.fit(pairs).cv_results_
    names = [name for name in expected if name.endswith("score")]
    assert len(names) >= 5
    for name in names:
        np.testing.assert_array_equal(found[name], expected[name])
