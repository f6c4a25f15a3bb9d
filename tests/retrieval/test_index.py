import numpy as np
import polars as pl
import pytest
from scipy import sparse
from sklearn.exceptions import NotFittedError

from skhash import make_table
from skhash.codes import convert_codes
from skhash.retrieval import HammingRetriever


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


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (codes[:0], ValueError, "0 sample"),
        (codes[0], ValueError, "must have two dimensions .*, got 1"),
        (np.full((2, 3), np.nan), ValueError, "must be finite, got NaN or infinity"),
        (np.zeros((2, 3), dtype=np.int8), TypeError, r"must hold only \+1 and -1"),
        (
            codes.astype(int),
            TypeError,
            r"int64 codes must hold only \+1 and -1: use astype\(bool\) for zeros and ones",
        ),
        (codes.astype(np.float16), TypeError, r"float16 codes .* use astype\(bool\) for zeros"),
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


def test_another_width_is_an_error():
    with pytest.raises(ValueError, match="X has 11 features, but HammingRetriever is expecting 12"):
        HammingRetriever().fit(codes).kneighbors(queries[:, :11])


@pytest.mark.parametrize("method", ["kneighbors", "partial_fit"])
def test_bits_do_not_mix_with_bytes(method):
    packed = convert_codes(codes, "packed")
    message = r"holds packed codes \(uint8\), got codes with one column per bit: convert them with"
    with pytest.raises(ValueError, match=message):
        getattr(HammingRetriever().fit(packed), method)(queries)
    with pytest.raises(ValueError, match="holds codes with one column per bit, got packed codes"):
        getattr(HammingRetriever().fit(codes), method)(packed)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (queries[:0], "0 sample"),
        (np.full((2, 12), np.nan), "must be finite, got NaN"),
        (np.full((2, 12), np.inf), "must be finite, got NaN or infinity"),
    ],
)
@pytest.mark.parametrize("method", ["kneighbors", "radius_neighbors", "predict", "score"])
def test_bad_queries_are_named(X, message, method):
    index = HammingRetriever().fit(codes, np.arange(40))
    with pytest.raises(ValueError, match=message):
        getattr(index, method)(X)


def test_labels_of_another_length_are_an_error():
    with pytest.raises(ValueError, match="labels of another length: got 39 rows of labels for 40"):
        HammingRetriever().fit(codes, np.arange(39))


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_refused_fit_leaves_the_old_index(tmp_path, method):
    index = HammingRetriever(1).fit(codes, np.arange(40))
    with pytest.raises(ValueError, match=r"labels of another length|features"):
        getattr(index, method)(random_bits(30, 70), y=np.arange(29))
    np.testing.assert_array_equal(
        index.predict(codes), HammingRetriever(1).fit(codes, np.arange(40)).predict(codes)
    )
    index.save(tmp_path)
    opened = HammingRetriever.open(tmp_path)
    assert_neighbors(opened.kneighbors(queries), brute_force(queries, codes, 1))


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_refused_first_fit_leaves_no_index(tmp_path, method):
    index = HammingRetriever()
    with pytest.raises(ValueError, match="labels of another length"):
        getattr(index, method)(codes, np.arange(39))
    for answer in (index.kneighbors, index.radius_neighbors, index.predict, index.score):
        with pytest.raises(NotFittedError):
            answer(codes)
    with pytest.raises(NotFittedError):
        index.save(tmp_path)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (np.arange(20), list("ab" * 10), "labels that are integers .int64., got strings"),
        (list("ab" * 10), np.arange(20), "labels that are strings .<U1., got integers"),
        (np.arange(20), np.arange(20) / 2, "labels that are integers .*, got floats"),
        (np.arange(20) > 3, np.arange(20), "labels that are booleans .*, got integers"),
        (np.arange(20), np.arange(20, dtype=np.uint64), "are integers .int64., got integers .uint"),
        (np.arange(20), np.eye(20), r"shape \(20, 20\), those of the index \(20,\)"),
        (np.eye(20), np.eye(20)[:, :3], r"shape \(20, 3\), those of the index \(20, 20\)"),
    ],
)
def test_labels_of_another_kind_cannot_be_appended(first, second, message):
    index = HammingRetriever(1).fit(codes[:20], first)
    before = index.y_
    with pytest.raises(ValueError, match=message):
        index.partial_fit(codes[20:], second)
    assert index.y_ is before
    assert index.n_samples_fit_ == 20


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (np.arange(20, dtype=np.int8), np.arange(20)),
        (list("ab" * 10), np.array(["long", "c"] * 10, dtype=object)),
        (np.eye(20) > 0, np.eye(20, dtype=int)),
    ],
    ids=["integers", "strings", "indicators"],
)
def test_labels_of_one_kind_can_be_appended(first, second):
    index = HammingRetriever(1).fit(codes[:20], first).partial_fit(codes[20:], second)
    np.testing.assert_array_equal(index.y_, [*first, *second])


def test_labels_of_three_dimensions_are_an_error():
    with pytest.raises(ValueError, match="labels must have one or two dimensions, got 3"):
        HammingRetriever().fit(codes, np.zeros((40, 1, 1)))


def test_sparse_labels_become_dense():
    labels = np.eye(40)[:, :3]
    index = HammingRetriever().fit(codes, sparse.csr_array(labels))
    np.testing.assert_array_equal(index.y_, labels)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_the_index_does_not_follow_its_arguments(method):
    X, y = random_bits(40, 64), np.arange(40)
    packed = convert_codes(X, "packed")
    index = getattr(HammingRetriever(n_neighbors=1), method)(packed, y)
    packed[:], y[:] = 0, 0  # as a loop that fills the same arrays again
    np.testing.assert_array_equal(index.predict(convert_codes(X, "packed")), np.arange(40))


def test_labels_are_given_to_all_rows_or_none():
    with pytest.raises(ValueError, match="either all rows of an index have labels or none"):
        HammingRetriever().fit(codes, np.arange(40)).partial_fit(codes)


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


def test_features_that_are_never_negative_are_no_codes():
    features = np.random.default_rng(0).random((16, 5))
    with pytest.warns(UserWarning, match="all 16 codes are equal: these look like features"):
        HammingRetriever().fit(features)
    HammingRetriever().fit(features[:15])
    HammingRetriever().fit(np.ones((16, 5), dtype=bool))
    features[15, 2] *= -1
    HammingRetriever().fit(features).partial_fit(features[:15])


def test_codes_of_pairs_do_not_search_an_index_of_one_modality():
    both = np.hstack([codes, codes])
    message = r"have 24 columns, the codes of the index 12: .* use encode_text or encode_image"
    with pytest.raises(ValueError, match=message):
        HammingRetriever().fit(codes).search(both)
