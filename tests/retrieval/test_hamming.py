import pickle

import numpy as np
import polars as pl
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.estimator_checks import estimator_checks_generator

from skhash import make_table
from skhash.codes import convert_codes
from skhash.metrics import RetrievalScorer, mean_average_precision
from skhash.retrieval import HammingRetriever


@pytest.mark.parametrize(
    ("estimator", "check"),
    list(estimator_checks_generator(HammingRetriever(), mark="skip")),
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


@pytest.mark.parametrize("form", ["bits", "packed", "signs", "real"])
def test_kneighbors_equals_brute_force_in_each_format(form):
    index = HammingRetriever(n_neighbors=6).fit(convert_codes(codes, form))
    distances, rows = index.kneighbors(convert_codes(queries, form))
    assert (distances.dtype, rows.dtype) == (np.int32, np.int64)
    assert_neighbors((distances, rows), brute_force(queries, codes, 6))


def test_formats_of_a_column_a_bit_can_be_mixed():
    index = HammingRetriever().fit(codes)
    assert_neighbors(
        index.kneighbors(convert_codes(queries, "signs"), 3), brute_force(queries, codes, 3)
    )


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


def test_predict_gives_the_label_of_the_nearest_item():
    labels = np.arange(40).astype(str)
    index = HammingRetriever().fit(codes, labels)
    np.testing.assert_array_equal(
        index.predict(queries), labels[brute_force(queries, codes, 1)[1][:, 0]]
    )
    indicators = np.eye(40)
    found = HammingRetriever().fit(codes, indicators).predict(codes)
    np.testing.assert_array_equal(found[0], indicators[0])


def test_threads_give_the_same(monkeypatch):
    monkeypatch.setattr("skhash.retrieval._hamming._PART", 2)
    alone, threads = (HammingRetriever(n_jobs=n_jobs).fit(codes) for n_jobs in (None, 2))
    assert_neighbors(alone.kneighbors(queries), threads.kneighbors(queries))
    assert_neighbors(alone.kneighbors(queries), brute_force(queries, codes, 5))
    for one, other in zip(
        alone.radius_neighbors(queries), threads.radius_neighbors(queries), strict=True
    ):
        assert [found.tolist() for found in one] == [found.tolist() for found in other]


@pytest.mark.parametrize("first", ["fit", "partial_fit"])
def test_appended_rows_keep_counting(first):
    y = np.arange(40)
    index = getattr(HammingRetriever(), first)(codes[:15], y[:15])
    index.partial_fit(codes[15:16], y[15:16]).partial_fit(codes[16:], y[16:])
    assert index.n_samples_fit_ == 40
    assert_neighbors(index.kneighbors(queries), brute_force(queries, codes, 5))
    np.testing.assert_array_equal(index.y_, y)


def test_fit_forgets_what_was_there():
    index = HammingRetriever().fit(pairs).fit(codes[:9, :4])
    assert (index.n_samples_fit_, index.n_features_in_, index.paired_) == (9, 4, False)


def test_a_pickle_finds_the_same():
    index = HammingRetriever().fit(codes)
    copy = pickle.loads(pickle.dumps(index))
    assert_neighbors(copy.kneighbors(queries), index.kneighbors(queries))


def test_score_is_the_mean_average_precision():
    index = HammingRetriever().fit(codes, np.arange(40) % 3)
    expected = mean_average_precision(queries, codes, np.arange(7) % 3, np.arange(40) % 3)
    assert index.score(queries, np.arange(7) % 3) == expected


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


# Pairs


@pytest.mark.parametrize(
    "queries",
    [make_table(image=queries), pl.from_pandas(make_table(image=queries))],
    ids=["pandas", "polars"],
)
def test_images_search_the_texts_of_a_paired_index(queries):
    expected = brute_force(np.asarray(queries), text, 5)
    assert_neighbors(HammingRetriever().fit(pairs).kneighbors(queries), expected)


def test_texts_search_the_images_of_a_paired_index():
    found = HammingRetriever().fit(pairs).kneighbors(make_table(text=queries))
    assert_neighbors(found, brute_force(queries, image, 5))


@pytest.mark.parametrize("form", ["bits", "packed", "signs", "real"])
def test_an_array_of_pairs_is_split_in_half(form):
    halves = [convert_codes(half, form) for half in (image, text)]
    index = HammingRetriever(paired=True).fit(np.hstack(halves))
    found = index.kneighbors(make_table(text=convert_codes(queries, form)))
    assert_neighbors(found, brute_force(queries, image, 5))


def test_pairs_score_the_mean_of_both_directions():
    y = np.arange(20) % 4
    expected = [
        mean_average_precision(one, other, y, y) for one, other in [(image, text), (text, image)]
    ]
    named = HammingRetriever().fit(pairs, y)
    array = HammingRetriever(paired=True).fit(pairs.to_numpy(), y)
    assert named.score(pairs, y) == pytest.approx(np.mean(expected))
    assert array.score(pairs.to_numpy(), y) == pytest.approx(np.mean(expected))


def test_pairs_can_be_appended():
    index = HammingRetriever().fit(pairs[:8]).partial_fit(pairs[8:])
    found = index.kneighbors(make_table(text=queries))
    assert_neighbors(found, brute_force(queries, image, 5))


def test_paired_false_makes_one_code_of_a_table():
    index = HammingRetriever(paired=False).fit(pairs)
    assert_neighbors(index.kneighbors(pairs), brute_force(*[np.hstack([image, text])] * 2, 5))


def test_texts_may_search_a_plain_index_of_images():
    index = HammingRetriever().fit(make_table(image=image))
    found = index.kneighbors(make_table(text=queries))
    assert_neighbors(found, brute_force(queries, image, 5))


def test_as_scorer_passes_its_options_on():
    options = {"k": 3, "direction": "image_to_text", "gallery": image, "gallery_y": [1]}
    options |= {"ties": "index", "normalize": "relevant"}
    scorer = HammingRetriever().as_scorer(**options)
    assert isinstance(scorer, RetrievalScorer)
    assert scorer.get_params() == {"metric": "map", **options}


# Errors


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"n_neighbors": 0}, ValueError, "n_neighbors == 0, must be >= 1"),
        ({"n_neighbors": 2.0}, TypeError, "n_neighbors must be an instance of"),
        ({"radius": -1}, ValueError, "radius == -1, must be >= 0"),
        ({"algorithm": "tree"}, ValueError, "algorithm must be 'auto' or 'numpy', got 'tree'"),
    ],
)
def test_bad_parameters_are_named(parameters, error, message):
    with pytest.raises(error, match=message):
        HammingRetriever(**parameters).fit(codes)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (codes[:0], ValueError, "0 sample"),
        (codes[0], ValueError, "Expected 2D array"),
        (np.full((2, 3), np.nan), ValueError, "contains NaN"),
        (np.zeros((2, 3), dtype=np.int8), ValueError, r"must hold only \+1 and -1"),
        (
            codes.astype(int),
            TypeError,
            r"int64 codes of zeros and ones .* use codes.astype\(bool\)",
        ),
        (codes.astype(np.float16), TypeError, "codes must be bool .*, got float16"),
        (
            make_table(image=image, text=text[:, :5]),
            ValueError,
            r"as many image__\* as text__\* columns, got 12 and 5",
        ),
    ],
)
def test_bad_codes_are_named(X, error, message):
    with pytest.raises(error, match=message):
        HammingRetriever().fit(X)


def test_an_odd_width_has_no_halves():
    with pytest.raises(ValueError, match="paired codes of 11 columns cannot be split in half"):
        HammingRetriever(paired=True).fit(codes[:, :11])


@pytest.mark.parametrize("k", [41, 1000])
def test_more_neighbours_than_items_is_an_error(k):
    index = HammingRetriever().fit(codes)
    with pytest.raises(ValueError, match=f"got n_neighbors={k} for 40 items"):
        index.kneighbors(queries, k)


def test_a_row_is_not_its_own_neighbour():
    with pytest.raises(ValueError, match="got n_neighbors=40 for 39 items"):
        HammingRetriever().fit(codes).kneighbors(n_neighbors=40)


def test_a_negative_radius_is_an_error():
    with pytest.raises(ValueError, match="radius == -1, must be >= 0"):
        HammingRetriever().fit(codes).radius_neighbors(queries, -1)


def test_an_unknown_mode_is_an_error():
    with pytest.raises(ValueError, match="mode must be 'connectivity' or 'distance', got 'angle'"):
        HammingRetriever().fit(codes).kneighbors_graph(queries, mode="angle")


@pytest.mark.parametrize("method", ["kneighbors", "radius_neighbors", "predict", "score"])
def test_an_empty_index_is_an_error(method):
    with pytest.raises(NotFittedError):
        getattr(HammingRetriever(), method)(codes)


def test_another_width_is_an_error():
    with pytest.raises(ValueError, match="X has 11 features, but HammingRetriever is expecting 12"):
        HammingRetriever().fit(codes).kneighbors(queries[:, :11])


def test_bits_do_not_search_bytes():
    index = HammingRetriever().fit(convert_codes(codes, "packed"))
    with pytest.raises(
        ValueError, match=r"holds packed codes \(uint8\), got codes of a column a b"
    ):
        index.kneighbors(queries)
    with pytest.raises(ValueError, match="holds codes of a column a bit, got packed codes"):
        HammingRetriever().fit(codes).kneighbors(convert_codes(queries, "packed"))


@pytest.mark.parametrize("y", [np.arange(39), np.float64(1)])
def test_labels_of_another_length_are_an_error(y):
    with pytest.raises(ValueError, match="labels of another length"):
        HammingRetriever().fit(codes, y)


def test_labels_are_given_to_all_rows_or_none():
    with pytest.raises(ValueError, match="all rows of the index have labels or none"):
        HammingRetriever().fit(codes, np.arange(40)).partial_fit(codes)


def test_nothing_can_be_predicted_without_labels():
    with pytest.raises(ValueError, match="the index has no labels to predict"):
        HammingRetriever().fit(codes).predict(queries)


def test_labels_of_the_queries_alone_score_nothing():
    with pytest.raises(ValueError, match="labels are given on one side only"):
        HammingRetriever().fit(codes).score(queries, np.arange(7))


@pytest.mark.parametrize("X", [pairs, pairs.to_numpy(), None], ids=["table", "array", "itself"])
def test_neighbours_of_pairs_are_ambiguous(X):
    index = HammingRetriever().fit(pairs)
    for search in (index.kneighbors, index.radius_neighbors):
        with pytest.raises(ValueError, match=r"ambiguous: give the image__\* or the text__\* col"):
            search(X)


def test_one_half_without_a_name_is_ambiguous():
    with pytest.raises(
        ValueError, match=r"may be of images or of texts.*make_table\(image=codes\)"
    ):
        HammingRetriever().fit(pairs).kneighbors(queries)


def test_a_half_of_another_width_is_an_error():
    index = HammingRetriever().fit(pairs)
    with pytest.raises(ValueError, match="the text codes have 5 columns, those of the index 12"):
        index.kneighbors(make_table(text=queries[:, :5]))


def test_one_half_cannot_be_appended_to_pairs():
    with pytest.raises(ValueError, match="a paired index holds both codes of a row, got one"):
        HammingRetriever().fit(pairs).partial_fit(make_table(image=image))
