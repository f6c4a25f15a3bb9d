import pickle

import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from skhash import split_towers


class Counter(TransformerMixin, BaseEstimator):
    """Count the letters of a picture's name and the words of a text."""

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def encode_image(self, images):
        return np.array([[float(len(image))] for image in images])

    def encode_text(self, texts):
        return np.array([[float(len(text.split()))] for text in texts])

    def transform(self, X):
        return np.hstack([self.encode_image(X[:, 0]), self.encode_text(X[:, 1])])


class Centre(TransformerMixin, BaseEstimator):
    """Subtract the mean of each modality."""

    def fit(self, X, y=None):
        self.means_ = X.mean(axis=0)
        return self

    def encode_image(self, X):
        return X - self.means_[0]

    def encode_text(self, X):
        return X - self.means_[1]

    def transform(self, X):
        return X - self.means_


def search(estimator, **options):
    """Search the parameters of an estimator, of which there are none to choose."""
    options = {"scoring": lambda *_: 1.0, "cv": [([0, 1], [0, 1])], **options}
    return GridSearchCV(estimator, {}, **options)


class Index(BaseEstimator):
    """A last step without transform."""

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def predict(self, X):
        return X


pairs = np.array([["a.jpg", "one dog"], ["long.jpg", "two dogs on a beach"]], dtype=object)


def fitted(*more):
    steps = [("features", Counter()), ("none", "passthrough"), ("centre", Centre()), *more]
    return Pipeline(steps).fit(pairs)


@pytest.mark.parametrize("more", [(), (("index", Index()),), (("end", "passthrough"),)])
def test_the_towers_give_the_two_halves_of_the_pipeline(more):
    towers = split_towers(fitted(*more))
    expected = fitted().transform(pairs)
    np.testing.assert_array_equal(towers.image.transform(list(pairs[:, 0])), expected[:, :1])
    np.testing.assert_array_equal(towers.text.transform(list(pairs[:, 1])), expected[:, 1:])


def test_the_towers_are_fitted_pipelines():
    for tower in split_towers(fitted()).values():
        assert isinstance(tower, Pipeline)
        assert list(tower.named_steps) == ["features", "none", "centre"]
        check_is_fitted(tower)


def test_a_last_step_without_transform_is_left_out():
    assert "index" not in split_towers(fitted(("index", Index()))).text.named_steps


def test_a_single_estimator_can_be_split():
    towers = split_towers(Counter().fit(pairs))
    assert towers.text.transform(["two dogs"]).tolist() == [[2]]


@pytest.mark.parametrize(
    "whole",
    [
        lambda: search(fitted()).fit(pairs),
        lambda: FrozenEstimator(search(fitted()).fit(pairs)),
        lambda: Pipeline([("features", Counter()), ("centre", search(Centre()))]).fit(pairs),
    ],
    ids=["search", "frozen", "step"],
)
def test_the_best_estimator_of_a_search_is_split(whole):
    towers = split_towers(whole())
    expected = fitted().transform(pairs)
    np.testing.assert_array_equal(towers.image.transform(list(pairs[:, 0])), expected[:, :1])
    np.testing.assert_array_equal(towers.text.transform(list(pairs[:, 1])), expected[:, 1:])


def test_a_search_without_a_best_estimator_cannot_be_split():
    with pytest.raises(ValueError, match=r"GridSearchCV has no best estimator .* refit=True"):
        split_towers(search(fitted(), refit=False).fit(pairs))


@pytest.mark.parametrize("copy", [clone, lambda tower: pickle.loads(pickle.dumps(tower))])
def test_copies_of_a_tower_stay_fitted(copy):
    tower = split_towers(fitted()).text
    np.testing.assert_array_equal(
        copy(tower).transform(["two dogs"]), tower.transform(["two dogs"])
    )


def test_fitting_a_tower_changes_nothing():
    tower = split_towers(fitted()).text
    before = tower.transform(["two dogs"])
    tower.fit(["a very long text it is", "and another one"])
    np.testing.assert_array_equal(tower.transform(["two dogs"]), before)


def test_a_step_of_the_joined_table_is_refused():
    pipeline = Pipeline([("features", Counter()), ("scale", StandardScaler())]).fit(pairs)
    with pytest.raises(ValueError, match=r"step 'scale' \(StandardScaler\) works on both.*branch"):
        split_towers(pipeline)


def test_nothing_to_split_is_an_error():
    with pytest.raises(ValueError, match="Pipeline has nothing to split"):
        split_towers(Pipeline([("none", "passthrough")]))


def test_an_unfitted_pipeline_is_an_error():
    with pytest.raises(NotFittedError):
        split_towers(Pipeline([("features", Counter()), ("centre", Centre())]))
