import numpy as np
import pytest
from scipy import sparse

from skhash.hashing import _pairs
from skhash.hashing._pairs import Pairs, block_statistics, dense_rows, warn_of_rows


@pytest.fixture
def block():
    values = np.random.default_rng(0).normal(size=(25, 4))
    values[[3, 17]] = 0
    return values


@pytest.mark.parametrize("center", [True, False])
def test_statistics_go_through_a_block_in_chunks(block, center, monkeypatch):
    monkeypatch.setattr(_pairs, "CHUNK", 7)
    mean, scale, empty, outlying = block_statistics(block, center=center)
    origin = block.mean(axis=0) if center else np.zeros(4)
    np.testing.assert_allclose(mean, origin, atol=1e-6)
    assert scale == pytest.approx(np.sqrt(np.mean((block - origin) ** 2)), rel=1e-5)
    np.testing.assert_array_equal(empty, [3, 17])
    assert outlying.size == 0


def test_a_constant_block_has_scale_one():
    assert block_statistics(np.full((5, 2), 3.0), center=True)[1] == 1.0


def test_sparse_rows_become_dense_float32(block):
    rows = dense_rows(sparse.csr_matrix(block), np.array([4, 2]))
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, block[[4, 2]].astype(np.float32))


def test_batches_hold_every_row_once_and_are_of_even_size():
    pairs = Pairs(np.zeros((25, 1)), np.zeros((25, 1)))
    batches = pairs.batches(8, np.random.default_rng(0))
    assert sorted(np.concatenate(batches)) == list(range(25))
    assert [len(batch) for batch in batches] == [7, 6, 6, 6]


def test_taking_rows_takes_their_groups(block):
    taken = Pairs(block, block, np.arange(25) // 5).take(np.array([0, 24]))
    np.testing.assert_array_equal(taken.groups, [0, 4])
    assert len(taken) == 2


def test_empty_rows_are_counted_and_named():
    with pytest.warns(
        UserWarning, match=r"7 rows of the text block are all zeros \(rows 0, 1, 2, 3, 4, ...\)"
    ):
        warn_of_rows("text", np.zeros((7, 2)), np.arange(7), np.arange(0))


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix])
def test_equal_rows_are_told(make):
    equal, none = np.full((16, 3), 0.3), np.arange(0)
    with pytest.warns(UserWarning, match="all 16 rows of the text block are equal"):
        warn_of_rows("text", make(equal), none, none)
    warn_of_rows("text", make(equal[:15]), none, none)
    equal[15, 2] = 0.4
    warn_of_rows("text", make(equal), none, none)


def test_rows_of_a_read_only_block_are_writable(block):
    block = block.astype(np.float32)
    block.flags.writeable = False
    rows = dense_rows(block, slice(0, 3))
    assert rows.flags.writeable
    np.testing.assert_array_equal(rows, block[:3])


@pytest.mark.parametrize("factor", [1e4, 1e20, -1e20])
@pytest.mark.parametrize("offset", [0, 100])
def test_rows_that_have_all_the_spread_are_found(block, factor, offset, monkeypatch):
    monkeypatch.setattr(_pairs, "CHUNK", 7)
    block[[5, 21]] *= factor
    np.testing.assert_array_equal(block_statistics(block + offset, center=True)[3], [5, 21])


def test_few_rows_or_constant_rows_have_no_outliers(block):
    block[5] *= 1e4
    assert block_statistics(block[:7], center=True)[3].size == 0
    assert block_statistics(np.full((25, 2), 3.0), center=True)[3].size == 0


def test_outlying_rows_are_named_with_the_remedy():
    with pytest.warns(UserWarning, match=r"1 rows of the image .* \(row 7\) .*RobustScaler"):
        warn_of_rows("image", np.eye(9), np.arange(0), np.array([7]))


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix])
def test_features_beyond_float32_are_refused_with_the_remedy(block, make):
    block[5, 1] = -1e39
    with pytest.raises(ValueError, match=r"features hold values beyond .*StandardScaler"):
        dense_rows(make(block), slice(0, 10))
