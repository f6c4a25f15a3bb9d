"""Where training begins."""

import pickle

import numpy as np
import pytest
from scipy import sparse

from skhash.hashing import CCAHasher, CFRHHasher, DUCHHasher
from skhash.hashing._deep import starts
from skhash.hashing._deep.training import start


@pytest.mark.parametrize("cls", [CFRHHasher, DUCHHasher])
@pytest.mark.parametrize("center", [True, False])
def test_the_first_codes_are_those_of_cca(begin, pairs, cls, center):
    parameters = {"n_bits": 8, "n_image_features": 6, "center": center}
    run = begin(cls(init="cca", init_ridge=0.3, **parameters), pairs)
    cca = CCAHasher(ridge=0.3, **parameters)
    cca._learn(run.pairs, 0)
    for block, values in run.pairs.blocks.items():
        expected = cca._real_codes(block, values)
        codes = np.arctanh(run.live.encode(block, values))
        ratio = np.sqrt(np.mean(codes**2) / np.mean(expected**2))
        np.testing.assert_allclose(codes, ratio * expected, atol=1e-4)


def test_the_first_codes_have_one_size_for_both_modalities(begin, pairs):
    run = begin(CFRHHasher(8, n_image_features=6), pairs)
    codes = [np.arctanh(run.live.encode(b, x)) for b, x in run.pairs.blocks.items()]
    assert np.sqrt(np.mean(np.square(codes))) == pytest.approx(starts.SIZE, rel=1e-4)


def test_a_linear_rate_of_zero_keeps_the_linear_paths(begin, pairs):
    hasher = CFRHHasher(8, n_image_features=6, linear_rate=0.0, max_iter=3, batch_size=10)
    first = begin(hasher, pairs).networks["image"].linear_path.weight.detach().numpy()
    hasher.set_params(random_state=np.random.default_rng(0)).fit(pairs)
    size = np.linalg.svd(hasher.image_state_["linear_path.weight"], compute_uv=False)
    np.testing.assert_allclose(size, np.linalg.svd(first, compute_uv=False), rtol=1e-4)
    assert hasher.image_state_["code.weight"].any()


def test_many_pairs_begin_with_a_part_of_them(begin, pairs, monkeypatch):
    monkeypatch.setattr(starts, "ROWS", 20)
    run = begin(CFRHHasher(8, n_image_features=6), pairs)
    assert np.isfinite(run.live.encode("image", run.pairs.blocks["image"])).all()


@pytest.mark.filterwarnings("ignore:.*are equal")
def test_constant_blocks_have_a_start(begin, pairs):
    pairs = pairs.copy()
    pairs[:, :6] = 1.0
    run = begin(CFRHHasher(8, n_image_features=6), pairs)
    assert all(np.isfinite(run.live.encode(b, x)).all() for b, x in run.pairs.blocks.items())


def test_one_pair_has_a_start():
    X = sparse.csr_matrix(np.ones((2, 9000), dtype=np.float32))
    hasher = CFRHHasher(8, n_image_features=6)
    pairs = hasher._check_pairs(X, None, reset=True).take([0])
    live = start(hasher, pairs, seed=0)
    assert all((live.encode(b, x) == 0).all() for b, x in pairs.blocks.items())


def test_a_start_of_sparse_features_is_that_of_dense_ones(begin, pairs):
    hasher = CFRHHasher(8, n_image_features=6)
    weights = [
        begin(hasher, X).networks["text"].linear_path.weight.detach().numpy()
        for X in (pairs, sparse.csr_matrix(pairs))
    ]
    np.testing.assert_allclose(*weights, atol=1e-5)


def test_networks_with_linear_paths_are_saved_and_trained_further(pairs):
    hasher = CFRHHasher(
        8, n_image_features=6, hidden_units=4, max_iter=2, batch_size=10, warm_start=True
    ).fit(pairs)
    loaded = pickle.loads(pickle.dumps(hasher))
    np.testing.assert_array_equal(loaded.transform(pairs), hasher.transform(pairs))
    assert loaded.partial_fit(pairs).n_iter_ == 3
    assert loaded.fit(pairs).n_iter_ == 5
    with pytest.raises(ValueError, match="cannot continue with init=random"):
        loaded.set_params(init="random").fit(pairs)
