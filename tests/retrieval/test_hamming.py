import pickle
import sys

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.estimator_checks import estimator_checks_generator

from skhash import make_table
from skhash._hamming import search as _search
from skhash.metrics import RetrievalScorer, mean_average_precision
from skhash.retrieval import HammingRetriever


# The features of these checks are between 0 and 1.
@pytest.mark.filterwarnings("ignore:all .* codes are equal")
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


def assert_neighbors(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_kneighbors_can_leave_the_distances_out():
    rows = HammingRetriever().fit(codes).kneighbors(queries, 3, return_distance=False)
    np.testing.assert_array_equal(rows, brute_force(queries, codes, 3)[1])


@pytest.mark.parametrize("n_bits", [1, 2, 12])
def test_rows_of_the_index_find_the_others(n_bits):
    codes = random_bits(15, n_bits)  # few bits: more copies of a code than neighbours
    distances = (codes[:, None] != codes[None]).sum(axis=2)
    np.fill_diagonal(distances, 99)
    expected = np.argsort(distances, axis=1, kind="stable")
    index = HammingRetriever(n_neighbors=4, radius=1).fit(codes)
    np.testing.assert_array_equal(index.kneighbors()[1], expected[:, :4])
    assert index.kneighbors(n_neighbors=14)[1].shape == (15, 14)
    found, rows = index.radius_neighbors()
    for row in range(15):
        inside = [other for other in expected[row] if distances[row, other] <= 1]
        assert rows[row].tolist() == inside
        assert found[row].tolist() == distances[row, inside].tolist()


def test_radius_neighbors_are_sorted_by_distance_and_row():
    distances, rows = HammingRetriever(radius=4).fit(codes).radius_neighbors(queries)
    assert distances.shape == rows.shape == (7,)
    for found, row, (line, order) in zip(
        distances, rows, zip(*brute_force(queries, codes, 40), strict=True), strict=True
    ):
        assert row.tolist() == order[line <= 4].tolist()
        assert found.tolist() == line[line <= 4].tolist()
    only = HammingRetriever().fit(codes).radius_neighbors(queries, 4, return_distance=False)
    assert [row.tolist() for row in only] == [row.tolist() for row in rows]


def test_radius_neighbors_of_equal_numbers_stay_arrays_of_arrays():
    rows = HammingRetriever().fit(codes).radius_neighbors(queries, 12, return_distance=False)
    assert rows.dtype == object
    assert rows.shape == (7,)


@pytest.mark.parametrize("mode", ["connectivity", "distance"])
def test_the_graph_holds_an_edge_a_neighbour(mode):
    index = HammingRetriever(n_neighbors=3).fit(codes)
    graph = index.kneighbors_graph(codes, mode=mode)
    distances, rows = brute_force(codes, codes, 3)
    assert graph.shape == (40, 40)
    assert graph.nnz == 120  # distances of 0 are stored too
    np.testing.assert_array_equal(graph.indices.reshape(40, 3), rows)
    weights = distances if mode == "distance" else np.ones((40, 3))
    np.testing.assert_array_equal(graph.data.reshape(40, 3), weights)


@pytest.mark.parametrize("name", ["nearest", "within_radius"])
def test_all_queries_and_the_options_reach_the_engine_in_one_call(name, monkeypatch):
    calls = []

    def search(queries, *others, **options):
        calls.append((queries.shape[1], options))
        return original(queries, *others, **options)

    original = getattr(_search, name)
    monkeypatch.setattr(_search, name, search)
    index = HammingRetriever(algorithm="numpy", n_jobs=2, verbose=3).fit(codes)
    index.kneighbors(queries) if name == "nearest" else index.radius_neighbors(queries)
    options = {"keep": None, "algorithm": "numpy", "n_jobs": 2, "verbose": 3}
    assert calls == [(7, options)]


@pytest.mark.parametrize("algorithm", ["auto", "numpy", "numba"])
def test_exact_engines_give_the_same(algorithm):
    if algorithm == "numba":
        pytest.importorskip("numba")
    index = HammingRetriever(algorithm=algorithm, n_jobs=2, radius=5).fit(codes)
    distances, rows = brute_force(queries, codes, 40)
    assert_neighbors(index.kneighbors(queries, 6), (distances[:, :6], rows[:, :6]))
    for found, row, line, order in zip(
        *index.radius_neighbors(queries), distances, rows, strict=True
    ):
        assert (found.tolist(), row.tolist()) == (
            line[line <= 5].tolist(),
            order[line <= 5].tolist(),
        )


def test_an_exact_engine_finds_all():
    assert HammingRetriever().fit(codes).recall_against_exact(queries) == 1


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"n_neighbors": 0}, ValueError, "n_neighbors must be at least 1, got 0"),
        ({"n_neighbors": 2.0}, TypeError, "n_neighbors must be an integer"),
        ({"radius": -1}, ValueError, "radius must be a number in .*, got -1"),
        ({"radius": np.nan}, ValueError, "radius must be a number in .*, got nan"),
        ({"nprobe": 0}, ValueError, "nprobe must be at least 1, got 0"),
        ({"n_lists": 0}, ValueError, "n_lists must be at least 1, got 0"),
        (
            {"algorithm": "tree"},
            ValueError,
            "algorithm must be one of 'auto', 'numpy', 'numba', 'faiss-ivf', got 'tree'",
        ),
    ],
)
def test_bad_parameters_are_named(parameters, error, message):
    with pytest.raises(error, match=message):
        HammingRetriever(**parameters).fit(codes)


@pytest.mark.parametrize("k", [0, -1])
def test_fewer_neighbours_than_one_is_an_error(k):
    index = HammingRetriever().fit(codes)
    for search in (index.kneighbors, index.kneighbors_graph, index.recall_against_exact):
        with pytest.raises(ValueError, match=f"n_neighbors must be at least 1, got {k}"):
            search(queries, k)


@pytest.mark.parametrize("k", [41, 1000])
def test_more_neighbours_than_items_is_an_error(k):
    index = HammingRetriever().fit(codes)
    with pytest.raises(ValueError, match=f"got n_neighbors={k} for 40 items"):
        index.kneighbors(queries, k)


def test_a_row_is_not_its_own_neighbour():
    with pytest.raises(ValueError, match="got n_neighbors=40 for 39 items"):
        HammingRetriever().fit(codes).kneighbors(n_neighbors=40)


@pytest.mark.parametrize("radius", [-1, np.nan])
def test_a_radius_that_is_none_is_an_error(radius):
    with pytest.raises(ValueError, match=f"radius must be a number in .*, got {radius}"):
        HammingRetriever().fit(codes).radius_neighbors(queries, radius)


@pytest.mark.parametrize("n_jobs", [np.int8(100), 100_000, 10**9])
@pytest.mark.parametrize("algorithm", ["numpy", "numba", "faiss-ivf"])
def test_any_number_of_threads_finds_the_same(n_jobs, algorithm):
    alone, many = (
        HammingRetriever(algorithm=algorithm, n_lists=1, n_jobs=jobs).fit(codes)
        for jobs in (1, n_jobs)
    )
    for expected, found in zip(alone.kneighbors(queries), many.kneighbors(queries), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("radius", [2**70, np.inf, 10**400, np.int8(127)])
def test_a_radius_beyond_all_distances_finds_everything(radius):
    _, rows = HammingRetriever(radius=radius).fit(codes).radius_neighbors(queries)
    assert {len(found) for found in rows} == {len(codes)}


@pytest.mark.parametrize(("library", "algorithm"), [("numba", "numba"), ("faiss", "faiss-ivf")])
def test_an_engine_that_is_not_installed_names_its_extra(library, algorithm, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    extra = {"numba": "fast", "faiss": "faiss"}[library]
    with pytest.raises(ImportError, match=rf"needs {library}.*scikit-hash\[{extra}\]"):
        HammingRetriever(algorithm=algorithm).fit(codes).kneighbors(queries)


def test_an_unknown_mode_is_an_error():
    with pytest.raises(
        ValueError, match="mode must be one of 'connectivity', 'distance', got 'angle'"
    ):
        HammingRetriever().fit(codes).kneighbors_graph(queries, mode="angle")


@pytest.mark.parametrize("X", [pairs, pairs.to_numpy(), None], ids=["table", "array", "itself"])
def test_neighbours_of_pairs_are_ambiguous(X):
    index = HammingRetriever().fit(pairs)
    for search in (index.kneighbors, index.radius_neighbors):
        with pytest.raises(ValueError, match=r"ambiguous: give the image__\* or the text__\* col"):
            search(X)


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
    options |= {"rerank": "asymmetric", "n_candidates": 7}
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
