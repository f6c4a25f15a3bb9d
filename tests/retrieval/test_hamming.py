import pickle

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.estimator_checks import estimator_checks_generator

from skhash import make_table
from skhash.metrics import RetrievalScorer, mean_average_precision
from skhash.retrieval import HammingRetriever


@pytest.mark.parametrize(
    ("estimator", "check"),
    list(
        estimator_checks_generator(
            HammingRetriever(),
            expected_failed_checks={"check_estimators_dtypes": "integers are no codes"},
            mark="skip",
        )
    ),
    ids=lambda value: getattr(getattr(value, "func", value), "__name__", type(value).__name__),
)
def test_it_keeps_the_rules_of_scikit_learn(estimator, check):
    check(estimator)


def random_bits(n_samples, n_bits=12, seed=0):
    return np.random.default_rng(seed).random((n_samples, n_bits)) < 0.5


def brute_force(queries, codes, k):
    distances = (queries[:, None] != codes[None]).sum(axis=2)
    rows = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, rows, axis=1), rows


codes, queries = random_bits(40), random_bits(7, seed=1)
image, text = random_bits(20, seed=2), random_bits(20, seed=3)
pairs = make_table(image=image, text=text)


def test_predict_gives_the_label_of_the_nearest_item():
    labels = np.arange(40).astype(str)
    index = HammingRetriever().fit(codes, labels)
    np.testing.assert_array_equal(
        index.predict(queries), labels[brute_force(queries, codes, 1)[1][:, 0]]
    )
    indicators = np.eye(40)
    found = HammingRetriever().fit(codes, indicators).predict(codes)
    np.testing.assert_array_equal(found[0], indicators[0])


def test_a_pickle_finds_the_same():
    index = HammingRetriever().fit(codes)
    copy = pickle.loads(pickle.dumps(index))
    np.testing.assert_array_equal(copy.kneighbors(queries), index.kneighbors(queries))


def test_score_is_the_mean_average_precision():
    index = HammingRetriever().fit(codes, np.arange(40) % 3)
    expected = mean_average_precision(queries, codes, np.arange(7) % 3, np.arange(40) % 3)
    assert index.score(queries, np.arange(7) % 3) == expected


def test_score_ranks_exactly_whatever_the_algorithm():
    pytest.importorskip("faiss")
    exact, approximate = (
        HammingRetriever(algorithm=algorithm, nprobe=1, n_lists=8).fit(codes, np.arange(40) % 3)
        for algorithm in ("numpy", "faiss-ivf")
    )
    assert approximate.recall_against_exact(queries) < 1
    assert approximate.score(queries, np.arange(7) % 3) == exact.score(queries, np.arange(7) % 3)


def test_score_without_labels_takes_rows_for_pairs():
    assert HammingRetriever().fit(text).score(image) == mean_average_precision(image, text)


def test_a_pipeline_that_ends_in_it_is_tuned_by_its_score():
    rng = np.random.default_rng(0)
    y = np.arange(30) % 3
    X = rng.normal(size=(3, 16))[y] + 0.1 * rng.normal(size=(30, 16))
    pipeline = Pipeline([("reduce", PCA(random_state=0)), ("index", HammingRetriever())])
    search = GridSearchCV(pipeline, {"reduce__n_components": [1, 2]}, cv=3).fit(X, y)
    # One sign cannot tell three classes apart, two can.
    assert search.best_params_ == {"reduce__n_components": 2}


def test_pairs_score_the_mean_of_both_directions():
    y = np.arange(20) % 4
    expected = [
        mean_average_precision(one, other, y, y) for one, other in [(image, text), (text, image)]
    ]
    named = HammingRetriever().fit(pairs, y)
    array = HammingRetriever(paired=True).fit(pairs.to_numpy(), y)
    assert named.score(pairs, y) == pytest.approx(np.mean(expected))
    assert array.score(pairs.to_numpy(), y) == pytest.approx(np.mean(expected))


def test_as_scorer_passes_its_options_on():
    options = {"k": 3, "direction": "image_to_text", "gallery": image, "gallery_y": [1]}
    options |= {"ties": "index", "normalize": "relevant", "n_jobs": 2}
    scorer = HammingRetriever().as_scorer(**options)
    assert isinstance(scorer, RetrievalScorer)
    assert scorer.get_params() == {"metric": "map", **options}


@pytest.mark.parametrize("method", ["kneighbors", "radius_neighbors", "predict", "score"])
def test_an_empty_index_is_an_error(method):
    with pytest.raises(NotFittedError):
        getattr(HammingRetriever(), method)(codes)


def test_nothing_can_be_predicted_without_labels():
    with pytest.raises(ValueError, match="the index has no labels to predict"):
        HammingRetriever().fit(codes).predict(queries)


def test_labels_of_the_queries_alone_score_nothing():
    with pytest.raises(ValueError, match="labels are given on one side only"):
        HammingRetriever().fit(codes).score(queries, np.arange(7))


def test_labels_of_the_index_alone_score_nothing():
    with pytest.raises(ValueError, match="labels are given on one side only"):
        HammingRetriever().fit(codes, np.arange(40)).score(queries)


def test_labels_of_another_length_score_nothing():
    index = HammingRetriever().fit(codes, np.arange(40))
    with pytest.raises(ValueError, match="labels of another length: got 6 rows of labels for 7"):
        index.score(queries, np.arange(6))
