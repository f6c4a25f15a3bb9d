"""Indexes whose results are ordered by real codes of the queries, or by vectors."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone

from skhash import make_table
from skhash.codes import pack_codes
from skhash.retrieval import HammingRetriever

rng = np.random.default_rng(0)
REAL = rng.standard_normal((300, 24)).astype(np.float32)
QUERIES = rng.standard_normal((7, 24)).astype(np.float32)
VECTORS = rng.standard_normal((300, 6)).astype(np.float32)
QUERY_VECTORS = rng.standard_normal((7, 6)).astype(np.float32)
Y, QUERY_Y = np.arange(300) % 5, np.arange(7) % 5


def asymmetric(queries=QUERIES, codes=REAL):
    differ = (queries >= 0)[:, None] != (codes >= 0)
    return (differ * np.abs(queries.astype(np.float64))[:, None]).sum(axis=2)


def hamming(queries=QUERIES, codes=REAL):
    return ((queries >= 0)[:, None] != (codes >= 0)).sum(axis=2)


def cosine(queries=QUERY_VECTORS, vectors=VECTORS):
    products = queries @ vectors.T
    norms = np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(vectors, axis=1)
    return 1 - products / norms


def by_vectors(n_candidates, queries=QUERIES, query_vectors=QUERY_VECTORS, rows=None):
    """Return the rows of a shortlist in the order of their cosine distances."""
    rows = np.arange(300) if rows is None else rows
    shortlist = np.argsort(hamming(queries, REAL[rows]), axis=1, kind="stable")[:, :n_candidates]
    shortlist = np.sort(rows[shortlist], axis=1)
    distances = np.take_along_axis(cosine(query_vectors), shortlist, axis=1)
    order = np.argsort(distances, axis=1, kind="stable")
    return np.take_along_axis(shortlist, order, axis=1)


def index_of(rerank, **options):
    options = {"n_neighbors": 5, "n_candidates": 40, **options}
    return HammingRetriever(rerank=rerank, **options).fit(REAL, Y, vectors=VECTORS)


def paired():
    vectors = make_table(VECTORS, VECTORS)
    return HammingRetriever(rerank="vectors").fit(make_table(REAL, REAL), Y, vectors=vectors)


@pytest.mark.parametrize("algorithm", ["numpy", "numba"])
def test_asymmetric_neighbours_are_those_of_all_distances(algorithm):
    distances, rows = index_of("asymmetric", algorithm=algorithm).kneighbors(QUERIES)
    expected = np.argsort(asymmetric(), axis=1, kind="stable")[:, :5]
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_allclose(
        distances, np.take_along_axis(asymmetric(), expected, axis=1), rtol=1e-6
    )


def test_real_queries_search_packed_codes():
    index = HammingRetriever(rerank="asymmetric").fit(pack_codes(REAL))
    expected = index_of("asymmetric").kneighbors(QUERIES)
    for found, wanted in zip(index.kneighbors(QUERIES), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    with pytest.raises(ValueError, match="the real codes have 9 values, the packed codes of the"):
        index.kneighbors(QUERIES[:, :9])


def test_vectors_order_the_candidates():
    distances, rows = index_of("vectors").kneighbors(QUERIES, vectors=QUERY_VECTORS)
    expected = by_vectors(40)[:, :5]
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_allclose(distances, np.take_along_axis(cosine(), expected, axis=1), atol=1e-6)


def test_all_items_as_candidates_are_exact_search():
    index = index_of("vectors", n_candidates=10_000)
    expected = np.argsort(cosine(), axis=1)[:, :5]
    rows = index.kneighbors(QUERIES, return_distance=False, vectors=QUERY_VECTORS)
    np.testing.assert_array_equal(rows, expected)


def test_equal_vectors_are_ordered_by_row_and_zeros_are_at_distance_1():
    vectors = np.tile(rng.standard_normal((1, 37)), (300, 1)).astype(np.float32)
    vectors[::2] = 0
    index = HammingRetriever(rerank="vectors", n_candidates=300, n_neighbors=300)
    query = -np.ones((1, 37)) @ np.diag(np.sign(vectors[1]))
    distances, rows = index.fit(REAL, vectors=vectors).kneighbors(QUERIES[:1], vectors=query)
    assert rows[0].tolist() == [*range(0, 300, 2), *range(1, 300, 2)]
    assert (distances[0, :150] == 1).all()
    assert len(np.unique(distances[0, 150:])) == 1


def test_a_memory_map_is_not_read_whole(tmp_path):
    np.save(tmp_path / "vectors.npy", VECTORS.astype(np.float16))
    held = np.load(tmp_path / "vectors.npy", mmap_mode="r+")
    far = np.argmax(hamming(QUERIES[:1]))
    held[far] = np.nan  # which a candidate's row must not hold
    index = HammingRetriever(rerank="vectors", n_candidates=20).fit(REAL, vectors=held)
    assert index.vectors_ is held
    rows = index.kneighbors(QUERIES[:1], return_distance=False, vectors=QUERY_VECTORS[:1])
    assert set(rows[0]) <= set(by_vectors(20)[0])
    held[rows[0, 0]] = np.inf
    with pytest.raises(ValueError, match="the vectors of the index must be finite, got NaN or"):
        index.kneighbors(QUERIES[:1], vectors=QUERY_VECTORS[:1])


@pytest.mark.parametrize("rerank", ["asymmetric", "vectors"])
def test_removed_and_filtered_items_are_not_found(rerank):
    index = index_of(rerank)
    given = {"vectors": QUERY_VECTORS} if rerank == "vectors" else {}
    before = index.kneighbors(QUERIES, 1, return_distance=False, **given).ravel()
    index.remove(np.unique(before))
    left = np.setdiff1d(np.arange(300), before)
    if rerank == "vectors":
        expected = by_vectors(40, rows=left)[:, :5]
    else:
        expected = left[np.argsort(asymmetric(codes=REAL[left]), axis=1, kind="stable")[:, :5]]
    rows = index.kneighbors(QUERIES, return_distance=False, **given)
    np.testing.assert_array_equal(rows, expected)
    table = index.search(QUERIES, where=lambda y: y == 3, **given)
    assert len(table) == 35
    assert set(table["label"]) == {3}
    groups = index.search(QUERIES, groups=Y, **given)
    assert len(groups) == 35
    assert not groups.duplicated(["query", "label"]).any()
    assert (groups.groupby("query")["distance"].diff().dropna() >= 0).all()
    scores = [index.score(QUERIES, QUERY_Y, **given)]
    scores.append(index.compact().score(QUERIES, QUERY_Y, **given))
    assert scores[0] == scores[1]


def test_items_are_their_own_queries_by_vectors():
    rows = index_of("vectors", n_candidates=300).kneighbors(return_distance=False)
    distances = cosine(VECTORS)
    np.fill_diagonal(distances, np.inf)
    np.testing.assert_array_equal(rows, np.argsort(distances, axis=1)[:, :5])


@pytest.mark.parametrize("n_candidates", [1, 3, 8, 250])
@pytest.mark.parametrize("removed", [[], list(range(0, 300, 7))])
def test_an_item_is_none_of_its_own_candidates(n_candidates, removed):
    codes = REAL[:, :3]  # most items have equal codes: the item itself may be beyond the candidates
    index = HammingRetriever(1, rerank="vectors", n_candidates=n_candidates)
    index.fit(codes, vectors=VECTORS)
    index.remove(removed)
    kept = np.setdiff1d(np.arange(300), removed)
    differ = hamming(codes[kept], codes[kept])
    np.fill_diagonal(differ, 99)
    shortlist = np.argsort(differ, axis=1, kind="stable")[:, :n_candidates]
    distances = np.full(differ.shape, np.inf)
    near = np.take_along_axis(cosine(VECTORS[kept], VECTORS[kept]), shortlist, axis=1)
    np.put_along_axis(distances, shortlist, near, axis=1)
    k = min(n_candidates, 3)
    expected = kept[np.argsort(distances, axis=1, kind="stable")[:, :k]]
    np.testing.assert_array_equal(index.kneighbors(None, k, return_distance=False), expected)
    for groups in (None, np.arange(300)):
        found = index.search(None, k, groups=groups)
        np.testing.assert_array_equal(found["id"].to_numpy().reshape(expected.shape), expected)


def test_an_item_is_none_of_its_own_candidates_in_inverted_lists():
    index = HammingRetriever(algorithm="faiss-ivf", rerank="vectors", n_candidates=4, nprobe=99)
    rows = index.fit(REAL[:, :3], vectors=VECTORS).kneighbors(None, 4, return_distance=False)
    assert not (rows == np.arange(300)[:, None]).any()


@pytest.mark.parametrize("n_candidates", [2, 3, 5])
def test_an_item_that_a_filter_stops_has_as_many_candidates(n_candidates):
    codes = REAL[:, :1]
    where = np.arange(300) % 75 == 1  # four items
    index = HammingRetriever(rerank="vectors", n_candidates=n_candidates)
    found = index.fit(codes, vectors=VECTORS).search(None, 2, where=where)
    differ = hamming(codes, codes[where]) + 99 * (np.arange(300)[:, None] == np.flatnonzero(where))
    shortlist = np.argsort(differ, axis=1, kind="stable")[:, :n_candidates]
    for query in range(300):
        rows = np.sort(np.flatnonzero(where)[shortlist[query]])
        rows = rows[rows != query]
        near = cosine(VECTORS[[query]], VECTORS[rows])[0]
        expected = rows[np.argsort(near, kind="stable")[:2]]
        np.testing.assert_array_equal(found["id"][found["query"] == query], expected)


def test_a_paired_index_answers_with_the_vectors_of_the_other_modality():
    images, texts = VECTORS, VECTORS[::-1]
    table, both = make_table(image=REAL, text=REAL), make_table(image=images, text=texts)
    index = HammingRetriever(n_neighbors=1, rerank="vectors", n_candidates=300)
    for vectors in (both, np.hstack([images, texts])):
        index.fit(table, vectors=vectors)
        found = index.kneighbors(make_table(text=REAL), return_distance=False, vectors=images)
        np.testing.assert_array_equal(found.ravel(), np.arange(300))
        found = index.kneighbors(make_table(image=REAL), return_distance=False, vectors=images)
        np.testing.assert_array_equal(found.ravel(), np.arange(300)[::-1])
    assert index.score(table, vectors=np.hstack([texts, images])) == 1
    with pytest.raises(ValueError, match="an image and a text vector a row, of one width, got 5"):
        index.fit(table, vectors=VECTORS[:, :5])


def test_scores_rank_by_what_is_asked_for():
    def score(rows):
        relevant = Y[rows] == QUERY_Y[:, None]
        precision = relevant.cumsum(axis=1) / np.arange(1, 301)
        return np.mean((precision * relevant).sum(axis=1) / relevant.sum(axis=1))

    found = index_of("asymmetric").score(QUERIES, QUERY_Y)
    assert found == pytest.approx(score(np.argsort(asymmetric(), axis=1)))
    # The others follow by Hamming distance, whose ties are an expectation: near the order by row.
    first = by_vectors(40)
    order = np.argsort(hamming(), axis=1, kind="stable")
    rows = np.array(
        [[*f, *(r for r in o if r not in f)] for f, o in zip(first, order, strict=True)]
    )
    found = index_of("vectors").score(QUERIES, QUERY_Y, vectors=QUERY_VECTORS)
    assert found == pytest.approx(score(rows), abs=0.01)
    exact = index_of("vectors", n_candidates=300)
    found = exact.score(QUERIES, QUERY_Y, vectors=QUERY_VECTORS)
    assert found == pytest.approx(score(np.argsort(cosine(), axis=1)))


@pytest.mark.parametrize("mmap_mode", ["r", None])
def test_a_saved_index_keeps_its_vectors(tmp_path, mmap_mode):
    index = index_of("vectors").remove([0, 5])
    index.save(tmp_path)
    opened = HammingRetriever.open(tmp_path, mmap_mode=mmap_mode)
    given = {"vectors": QUERY_VECTORS}
    assert opened.search(QUERIES, **given).equals(index.search(QUERIES, **given))
    assert isinstance(opened.vectors_, np.memmap) == (mmap_mode == "r")
    opened.partial_fit(REAL[:2], Y[:2], vectors=VECTORS[:2])
    opened.update(REAL[:1], [7], vectors=VECTORS[:1])
    np.testing.assert_array_equal(opened.vectors_[-2:], VECTORS[:2])
    np.testing.assert_array_equal(opened.vectors_[5], VECTORS[0])


def test_radius_and_recall_are_of_hamming_distances():
    plain, index = index_of(None), index_of("vectors")
    for found, wanted in zip(
        index.radius_neighbors(QUERIES, 8), plain.radius_neighbors(QUERIES, 8), strict=True
    ):
        assert all(map(np.array_equal, found, wanted))
    assert index.recall_against_exact(QUERIES) == 1


def test_names_of_columns_may_be_given_for_codes_or_vectors_alone():
    expected = index_of("vectors").kneighbors(QUERIES, vectors=QUERY_VECTORS)
    for codes, vectors in (
        (make_table(text=QUERIES), QUERY_VECTORS),
        (QUERIES, make_table(text=QUERY_VECTORS)),
        (make_table(text=QUERIES), make_table(text=QUERY_VECTORS)),
    ):
        found = index_of("vectors").kneighbors(codes, vectors=vectors)
        np.testing.assert_array_equal(found[1], expected[1])


def test_other_methods_take_vectors():
    index = index_of("vectors")
    given = {"vectors": QUERY_VECTORS}
    _, rows = index.kneighbors(QUERIES, 1, **given)
    np.testing.assert_array_equal(index.predict(QUERIES, **given), Y[rows[:, 0]])
    graph = index.kneighbors_graph(QUERIES, 1, mode="distance", **given)
    np.testing.assert_array_equal(graph.indices, rows[:, 0])
    assert clone(index).get_params()["n_candidates"] == 40


WRONG = {
    "few candidates": (
        lambda: index_of("vectors").kneighbors(QUERIES, 41, vectors=QUERY_VECTORS),
        ValueError,
        "n_candidates must be at least n_neighbors, got n_candidates=40 for n_neighbors=41",
    ),
    "few candidates of a table": (
        lambda: index_of("vectors").search(QUERIES, 41, vectors=QUERY_VECTORS),
        ValueError,
        "n_candidates must be at least n_neighbors",
    ),
    "no vectors of queries": (
        lambda: index_of("vectors").kneighbors(QUERIES),
        ValueError,
        "needs the vectors of the queries: give vectors=features",
    ),
    "no vectors of items": (
        lambda: HammingRetriever(rerank="vectors").fit(REAL),
        ValueError,
        "needs the vectors of the items: give fit",
    ),
    "an index without vectors": (
        lambda: (
            HammingRetriever().fit(REAL).set_params(rerank="vectors").kneighbors(QUERIES, vectors=Y)
        ),
        ValueError,
        "and the index has none: fit it",
    ),
    "vectors of some items": (
        lambda: index_of("vectors").partial_fit(REAL, Y),
        ValueError,
        "either all items of an index have vectors or none",
    ),
    "another length": (
        lambda: index_of("vectors").kneighbors(QUERIES, vectors=QUERY_VECTORS[1:]),
        ValueError,
        "query vectors must hold one row per code, got 6 rows for 7 codes",
    ),
    "another width": (
        lambda: index_of("vectors").kneighbors(QUERIES, vectors=QUERY_VECTORS[:, 1:]),
        ValueError,
        "query vectors have 5 columns, those of the index 6",
    ),
    "missing values": (
        lambda: HammingRetriever().fit(REAL, vectors=np.where(VECTORS > 1, np.nan, VECTORS)),
        ValueError,
        "vectors must be finite numbers of float32, got NaN or infinity",
    ),
    "too large": (
        lambda: HammingRetriever().fit(REAL, vectors=1e300 * VECTORS.astype(float)),
        ValueError,
        "vectors must be finite numbers of float32",
    ),
    "of another modality": (
        lambda: index_of("vectors").kneighbors(
            make_table(text=QUERIES), vectors=make_table(image=QUERY_VECTORS)
        ),
        ValueError,
        r"the codes have text__\* columns, got vectors of image__\* columns: give the",
    ),
    "of both modalities": (
        lambda: paired().kneighbors(
            make_table(text=QUERIES), vectors=make_table(QUERY_VECTORS, QUERY_VECTORS)
        ),
        ValueError,
        r"got vectors of image__\* and text__\* columns",
    ),
    "of one modality of pairs": (
        lambda: paired().score(
            make_table(QUERIES, QUERIES), QUERY_Y, vectors=make_table(image=QUERY_VECTORS)
        ),
        ValueError,
        r"the codes have image__\* and text__\* columns, got vectors of image__\* columns",
    ),
    "items of another modality": (
        lambda: HammingRetriever().fit(make_table(image=REAL), vectors=make_table(text=VECTORS)),
        ValueError,
        r"the codes have image__\* columns, got vectors of text__\* columns",
    ),
    "appended items of another modality": (
        lambda: paired().partial_fit(
            make_table(REAL, REAL), Y, vectors=make_table(image=np.hstack([VECTORS, VECTORS]))
        ),
        ValueError,
        r"got vectors of image__\* columns",
    ),
    "replaced items of another modality": (
        lambda: paired().update(make_table(REAL, REAL), Y, vectors=make_table(text=VECTORS)),
        ValueError,
        r"got vectors of text__\* columns",
    ),
    "integers": (
        lambda: HammingRetriever().fit(REAL, vectors=Y[:, None]),
        TypeError,
        r"vectors must be floats of shape \(n_samples, n_features\), got int64",
    ),
    "sparse vectors": (
        lambda: HammingRetriever().fit(REAL, vectors=sparse.csr_matrix(VECTORS)),
        TypeError,
        r"vectors must be dense, got a sparse matrix: use vectors.toarray\(\)",
    ),
    "masked vectors": (
        lambda: HammingRetriever().fit(REAL, vectors=np.ma.array(VECTORS, mask=VECTORS > 0)),
        ValueError,
        "vectors must have no masked values",
    ),
    "vectors that are not used": (
        lambda: index_of(None).kneighbors(QUERIES, vectors=QUERY_VECTORS),
        ValueError,
        "vectors of queries are used with rerank='vectors' alone, got rerank=None",
    ),
    "bits": (
        lambda: index_of("asymmetric").kneighbors(QUERIES >= 0),
        TypeError,
        "needs real codes of the queries to weight the bits, got bits: use a hasher",
    ),
    "the index itself": (
        lambda: index_of("asymmetric").kneighbors(),
        ValueError,
        "needs real codes of the queries, and the index holds bits",
    ),
    "an unknown way": (
        lambda: index_of("cosine"),
        ValueError,
        "rerank must be one of None, 'asymmetric', 'vectors', got 'cosine'",
    ),
    "no candidates": (lambda: index_of(None, n_candidates=0), ValueError, "n_candidates must be"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_refused(case):
    call, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        call()


def test_a_code_of_both_modalities_has_vectors_of_any():
    bits = np.random.default_rng(0).random((9, 8)) < 0.5
    table, vectors = make_table(image=bits, text=bits), make_table(image=bits * 1.0)
    index = HammingRetriever(paired=False, n_neighbors=3, rerank="vectors", n_candidates=5)
    index.fit(table, vectors=vectors)
    np.testing.assert_array_equal(index.vectors_, bits)
