import pickle
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import estimator_checks_generator

from skhash import make_table
from skhash.retrieval import HammingRetriever, _ivf

faiss = pytest.importorskip("faiss")


# The features of these checks are between 0 and 1.
@pytest.mark.filterwarnings("ignore:all .* codes are equal")
@pytest.mark.parametrize(
    ("estimator", "check"),
    list(
        estimator_checks_generator(
            HammingRetriever(algorithm="faiss-ivf"),
            expected_failed_checks={"check_estimators_dtypes": "integers are no codes"},
            mark="skip",
        )
    ),
    ids=lambda value: getattr(getattr(value, "func", value), "__name__", type(value).__name__),
)
def test_it_keeps_the_rules_of_scikit_learn(estimator, check):
    check(estimator)


def random_bits(n_samples, n_bits=20, seed=0):
    return np.random.default_rng(seed).random((n_samples, n_bits)) < 0.5


codes, queries = random_bits(300), random_bits(9, seed=1)


def ivf(**options):
    return HammingRetriever(algorithm="faiss-ivf", **options)


def all_distances(queries, codes):
    return (queries[:, None] != codes[None]).sum(axis=2)


@pytest.mark.parametrize("n_bits", [1, 7, 12, 64, 100, 4096])
@pytest.mark.parametrize("k", [1, 10, 60])
def test_all_lists_together_are_exact(n_bits, k):
    codes, queries = random_bits(60, n_bits), random_bits(5, n_bits, seed=1)
    index = ivf(nprobe=6, n_lists=6).fit(codes)
    distances, rows = index.kneighbors(queries, k)
    assert (distances.dtype, rows.dtype) == (np.int32, np.int64)
    expected = all_distances(queries, codes)
    np.testing.assert_array_equal(distances, np.sort(expected, axis=1)[:, :k])
    np.testing.assert_array_equal(distances, np.take_along_axis(expected, rows, axis=1))
    assert index.recall_against_exact(queries, k) == 1


def test_ties_are_ordered_by_row():
    distances, rows = ivf(nprobe=2, n_lists=6).fit(codes[:, :5]).kneighbors(queries[:, :5], 30)
    keys = distances * 300 + rows
    assert (np.diff(keys, axis=1) > 0).all()


def test_queries_whose_lists_are_too_short_are_answered_exactly(monkeypatch):
    calls = []

    def search(queries, *others, **options):
        calls.append(queries.shape[1])
        return original(queries, *others, **options)

    original = _ivf._search.nearest
    monkeypatch.setattr(_ivf._search, "nearest", search)
    index = ivf(nprobe=1, n_lists=300).fit(codes)
    found = index.kneighbors(queries, 50)
    np.testing.assert_array_equal(found, HammingRetriever().fit(codes).kneighbors(queries, 50))
    assert calls[0] == 9  # all of them together


@pytest.mark.parametrize("n_lists", [None, 1, 1000])
def test_a_few_codes_are_enough(n_lists):
    index = ivf(n_lists=n_lists).fit(codes[:6])
    assert index.kneighbors(queries, 6)[1].shape == (9, 6)


def test_equal_codes_can_be_sorted_into_lists():
    index = ivf(n_lists=4).fit(np.ones((50, 8), dtype=bool))
    np.testing.assert_array_equal(index.kneighbors(np.ones((1, 8), dtype=bool), 50)[0], 0)


@pytest.mark.parametrize("radius", [0, 6.5, 20, np.inf])
def test_a_radius_finds_what_is_in_the_lists(radius):
    queries = codes[:9]
    exact = HammingRetriever(radius=radius).fit(codes)
    every, some = (ivf(radius=radius, nprobe=n, n_lists=12).fit(codes) for n in (12, 2))
    for index in (every, some):
        distances, rows = index.radius_neighbors(queries)
        assert (distances[0].dtype, rows[0].dtype) == (np.int32, np.int64)
        for found, row, exact_row, line in zip(
            distances,
            rows,
            exact.radius_neighbors(queries)[1],
            all_distances(queries, codes),
            strict=True,
        ):
            np.testing.assert_array_equal(found, line[row])
            assert set(row) <= set(exact_row)
            if index is every:
                np.testing.assert_array_equal(row, exact_row)


def test_rows_of_the_index_are_not_their_own_neighbours():
    distances, rows = ivf(nprobe=2, n_lists=12).fit(codes).kneighbors(n_neighbors=5)
    assert rows.shape == (300, 5)
    assert (rows != np.arange(300)[:, None]).all()
    np.testing.assert_array_equal(
        distances, np.take_along_axis(all_distances(codes, codes), rows, axis=1)
    )
    within = ivf(nprobe=2, n_lists=12).fit(codes).radius_neighbors(radius=3, return_distance=False)
    assert all(row not in found for row, found in enumerate(within))


def test_recall_counts_what_is_as_near_as_the_last():
    index = ivf(nprobe=2, n_lists=12).fit(codes)
    found, _ = index.kneighbors(queries, 7)
    exact = np.sort(all_distances(queries, codes), axis=1)[:, 6:7]
    expected = np.mean(found <= exact)
    assert expected < 1
    assert index.recall_against_exact(queries, 7) == expected


def test_more_lists_looked_at_find_more():
    index = ivf(n_lists=16).fit(codes)
    recalls = [
        index.set_params(nprobe=nprobe).recall_against_exact(queries, 10) for nprobe in (1, 4, 16)
    ]
    assert recalls == sorted(recalls)
    assert recalls[0] < recalls[-1] == 1


@pytest.mark.parametrize(
    "again",
    [
        lambda index: clone(index).fit(codes),
        lambda index: pickle.loads(pickle.dumps(index)),
        lambda index: index.set_params(n_jobs=2),
        lambda index: clone(index).fit(codes[:100]).partial_fit(codes[100:]),
        lambda index: HammingRetriever(n_lists=12).fit(codes).set_params(**index.get_params()),
    ],
    ids=["fit", "pickle", "threads", "partial_fit", "set_params"],
)
def test_the_same_codes_give_the_same_lists(again):
    index = ivf(nprobe=2, n_lists=12).fit(codes)
    found = index.kneighbors(queries, 8)
    np.testing.assert_array_equal(again(index).kneighbors(queries, 8), found)


@pytest.fixture
def trained(monkeypatch):
    """How many codes each k-means was trained on, from now on."""
    counts, original = [], faiss.IndexBinaryIVF.train

    def train(self, points):
        counts.append(len(points))
        return original(self, points)

    monkeypatch.setattr(faiss.IndexBinaryIVF, "train", train)
    return counts


def test_appended_codes_are_added_to_the_lists(trained):
    index = ivf(nprobe=12, n_lists=12).fit(codes[:200])
    assert len(trained) == 1
    for rows in (slice(200, 201), slice(201, 300)):
        index.partial_fit(codes[rows])
        found, _ = index.kneighbors(queries, 8)
        exact, _ = HammingRetriever().fit(codes[: rows.stop]).kneighbors(queries, 8)
        np.testing.assert_array_equal(found, exact)
    assert len(trained) == 1


def test_an_index_that_has_doubled_makes_its_lists_anew(trained):
    index = ivf(n_lists=4).fit(codes[:100]).partial_fit(codes[100:200])
    index.kneighbors(queries)
    assert len(trained) == 1
    index.partial_fit(codes[200:201]).kneighbors(queries)
    assert len(trained) == 2


@pytest.mark.parametrize("searched", [False, True])
@pytest.mark.parametrize("copy", ["pickle", "save"])
def test_a_copy_of_an_index_with_appended_codes_has_the_same_lists(tmp_path, copy, searched):
    index = ivf(nprobe=2, n_lists=12).fit(codes[:200])
    if searched:
        index.kneighbors(queries)
    index.partial_fit(codes[200:])
    found = index.kneighbors(queries, 8)
    if copy == "pickle":
        again = pickle.loads(pickle.dumps(index))
    else:
        index.save(tmp_path)
        again = HammingRetriever.open(tmp_path)
    np.testing.assert_array_equal(again.kneighbors(queries, 8), found)
    others = ivf(nprobe=2, n_lists=12).fit(codes).kneighbors(queries, 8)
    assert not np.array_equal(found, others)


def test_another_number_of_lists_makes_them_anew():
    index = ivf(nprobe=1, n_lists=12).fit(codes)
    before = index.kneighbors(queries, 8)
    found = index.set_params(n_lists=3).kneighbors(queries, 8)
    expected = ivf(nprobe=1, n_lists=3).fit(codes).kneighbors(queries, 8)
    np.testing.assert_array_equal(found, expected)
    assert not np.array_equal(found, before)


def test_lists_that_could_not_be_appended_to_are_made_again(monkeypatch):
    index = ivf(nprobe=2, n_lists=12).fit(codes[:200]).partial_fit(codes[200:])
    expected = pickle.loads(pickle.dumps(index)).kneighbors(queries, 8)
    original = faiss.IndexBinaryIVF.add

    def add(self, points):
        original(self, points[:50])
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(faiss.IndexBinaryIVF, "add", add)
        with pytest.raises(MemoryError):
            index.kneighbors(queries, 8)
    np.testing.assert_array_equal(index.kneighbors(queries, 8), expected)


def test_a_refused_fit_keeps_the_lists():
    index = ivf(nprobe=2, n_lists=12).fit(codes)
    before = index.kneighbors(queries, 8)
    with pytest.raises(ValueError, match="labels of another length"):
        index.fit(random_bits(30, 70), np.arange(29))
    np.testing.assert_array_equal(index.kneighbors(queries, 8), before)


def test_the_threads_of_faiss_stay_as_they_were(monkeypatch):
    before = faiss.omp_get_max_threads()
    used = []
    original = faiss.omp_set_num_threads
    monkeypatch.setattr(
        faiss, "omp_set_num_threads", lambda number: (used.append(number), original(number))
    )
    ivf(n_jobs=2).fit(codes).kneighbors(queries)
    assert used == [1, before, 1, before, 2, before]  # to train, to add, to search
    assert faiss.omp_get_max_threads() == before


def test_both_codes_of_pairs_are_sorted_into_lists():
    text = random_bits(300, seed=2)
    index = ivf(nprobe=20, n_lists=20).fit(make_table(image=codes, text=text))
    exact = HammingRetriever().fit(make_table(image=codes, text=text))
    for table in (make_table(image=queries), make_table(text=queries)):
        np.testing.assert_array_equal(index.kneighbors(table)[0], exact.kneighbors(table)[0])


def test_a_map_is_sorted_into_lists_in_parts(tmp_path):
    packed = np.packbits(random_bits(300, 72), axis=1)
    packed.tofile(tmp_path / "codes")
    mapped = np.memmap(tmp_path / "codes", dtype=np.uint8, mode="r", shape=packed.shape)
    one, other = (ivf(nprobe=2, n_lists=12).fit(X) for X in (packed, mapped))
    np.testing.assert_array_equal(one.kneighbors(packed[:9]), other.kneighbors(packed[:9]))


@pytest.mark.parametrize("removed", [[], [3, 50]])
def test_a_search_that_began_before_an_append_does_not_find_what_was_appended(removed):
    index = ivf(nprobe=12, n_lists=12).fit(codes[:200]).remove(removed)
    before = HammingRetriever().fit(codes[:200]).remove(removed)
    index.kneighbors(queries)
    view = object.__new__(HammingRetriever)
    view.__dict__ = vars(index).copy()
    index.partial_fit(codes[200:]).kneighbors(queries)
    exact = before.kneighbors(queries, 8)
    np.testing.assert_array_equal(view.kneighbors(queries, 8)[0], exact[0])
    for found, expected in zip(
        view.radius_neighbors(queries, 9), before.radius_neighbors(queries, 9), strict=True
    ):
        assert all(map(np.array_equal, found, expected))


def test_threads_search_while_another_one_appends():
    many = random_bits(6000, 64, seed=5)
    sizes = [*range(3000, 6001, 100)]  # the lists are trained once
    exact = {n: HammingRetriever().fit(many[:n]).kneighbors(many[:20], 8)[0] for n in sizes}
    index = ivf(nprobe=20, n_lists=20).fit(many[:3000])
    ended = Event()

    def search():
        sizes_seen = set()
        while not ended.is_set() or not sizes_seen:
            distances, rows = index.kneighbors(many[:20], 8)
            matches = {n for n in sizes if np.array_equal(exact[n], distances)}
            assert matches
            assert rows.max() < max(matches)
            index.radius_neighbors(many[:2], 20)
            sizes_seen |= matches
        return sizes_seen

    with ThreadPoolExecutor(4) as pool:
        searches = [pool.submit(search) for _ in range(4)]
        try:
            for n in sizes[1:]:
                index.partial_fit(many[n - 100 : n])
        finally:
            ended.set()
        assert all(found.result() for found in searches)
    np.testing.assert_array_equal(index.kneighbors(many[:20], 8)[0], exact[6000])


def test_two_threads_make_the_lists_once(trained):
    index = pickle.loads(pickle.dumps(ivf(nprobe=2, n_lists=12).fit(codes)))  # without lists
    with ThreadPoolExecutor(4) as pool:
        searches = [pool.submit(index.kneighbors, queries, 8) for _ in range(8)]
        found = [search.result() for search in searches]
    assert len(trained) == 2  # with those of fit
    assert all(np.array_equal(one, found[0]) for one in found)
