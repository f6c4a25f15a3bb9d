"""Faults that were found by using the parts of an index together."""

import threading

import numpy as np
import pytest

from skhash import make_table
from skhash.retrieval import HammingRetriever

rng = np.random.default_rng(0)
CODES, VECTORS = rng.random((50, 16)) < 0.5, rng.normal(size=(50, 6)).astype(np.float16)


def test_a_set_of_ids_has_no_order():
    for call in (
        lambda: HammingRetriever().fit(CODES[:3], ids={"a", "b", "c"}),
        lambda: HammingRetriever().fit(CODES[:3]).update(CODES[:2], {0, 1}),
    ):
        with pytest.raises(TypeError, match="ids must have an order, one a row, got a set"):
            call()
    assert len(HammingRetriever().fit(CODES).remove({0, 1})) == 48


def test_vectors_that_do_not_fit_the_type_are_refused():
    index = HammingRetriever(rerank="vectors").fit(CODES, vectors=VECTORS)
    large = np.full((1, 6), 1e5, np.float32)
    for change in (
        lambda: index.update(CODES[:1], [0], vectors=large),
        lambda: index.partial_fit(CODES[:1], vectors=large),
    ):
        with pytest.raises(ValueError, match="must be finite and fit float16"):
            change()
    assert len(index) == 50
    np.testing.assert_array_equal(index.vectors_, VECTORS)


@pytest.mark.parametrize("n_candidates", [5, 20])
def test_groups_of_one_item_change_nothing(n_candidates):
    index = HammingRetriever(5, rerank="vectors", n_candidates=n_candidates)
    index.fit(CODES, vectors=VECTORS)
    alone = index.search(CODES[:3], vectors=VECTORS[:3])
    grouped = index.search(CODES[:3], vectors=VECTORS[:3], groups=np.arange(50))
    assert alone.equals(grouped)


def test_changes_in_threads_all_count():
    index = HammingRetriever().fit(CODES)

    def add():
        for _ in range(25):
            index.partial_fit(CODES[:1])

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(index) == 150


def test_real_codes_are_not_added_to_packed_ones():
    packed = np.packbits(CODES, axis=1, bitorder="little")
    index = HammingRetriever(rerank="asymmetric").fit(packed)
    with pytest.raises(ValueError, match="the index holds packed codes"):
        index.partial_fit(rng.normal(size=(1, 16)).astype(np.float32))


def test_half_a_pair_of_real_codes_is_named():
    packed = np.packbits(CODES[:, :8], axis=1, bitorder="little")
    index = HammingRetriever(rerank="asymmetric").fit(make_table(image=packed, text=packed))
    with pytest.raises(ValueError, match="half the width of a paired index"):
        index.score(rng.normal(size=(2, 8)).astype(np.float32))
