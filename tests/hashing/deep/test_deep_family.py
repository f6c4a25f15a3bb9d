"""What every hasher that trains networks gives, for all of them."""

import pickle
from inspect import signature

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from skhash.hashing._deep.base import DeepHasher
from skhash.hashing._deep.training import wake

from ...hashers import HASHERS, labels_for

CLASSES = [cls for cls in HASHERS.values() if issubclass(cls, DeepHasher)]
pytestmark = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)


def make(cls, **parameters):
    """Make a hasher of six image features that trains at once."""
    settings = {"n_bits": 8, "n_image_features": 6, "batch_size": 10, "random_state": 0}
    small = {"hidden_units": 8, "max_iter": 2, "graph_units": 8, "graph_iter": 2}
    small = {name: value for name, value in small.items() if name in signature(cls).parameters}
    return cls(**{**settings, **small, **parameters})


def fit(hasher, X, **options):
    return hasher.fit(X, labels_for(hasher, X), **options)


def partial_fit(hasher, X, **options):
    """Train on a chunk, whose labels may lack some of the classes."""
    if "classes" in signature(hasher.partial_fit).parameters:
        options["classes"] = range(5)
    return hasher.partial_fit(X, labels_for(hasher, X), **options)


def states(hasher):
    return pickle.dumps((hasher.image_state_, hasher.text_state_, hasher.training_state_))


def test_rows_alone_have_the_codes_that_they_have_in_a_table(cls, pairs):
    hasher = fit(make(cls), pairs)
    before, codes = states(hasher), hasher.transform(pairs)
    alone = [hasher.transform(pairs[[row]]) for row in range(len(pairs))]
    np.testing.assert_array_equal(np.vstack(alone), codes)
    assert states(hasher) == before
    np.testing.assert_array_equal(hasher.encode_text(pairs[:, 6:]), codes[:, 8:])


def test_training_goes_on_by_partial_fit_and_by_warm_start(cls, pairs):
    streamed = make(cls, warm_start=True)
    partial_fit(streamed, pairs[:14])
    n_phases = streamed.n_iter_
    partial_fit(streamed, pairs[14:])
    assert streamed.n_iter_ == len(streamed.loss_curve_["total"]) == 2 * n_phases
    before = streamed.n_iter_
    once = fit(make(cls), pairs).n_iter_
    assert fit(streamed, pairs).n_iter_ == before + once
    assert np.isfinite(streamed.loss_curve_["total"]).all()


def test_a_chunk_may_be_one_row(cls, pairs):
    hasher = partial_fit(partial_fit(make(cls), pairs), pairs[:1])
    assert np.isfinite(hasher.loss_curve_["total"]).all()


def test_batches_may_be_one_row_and_rows_may_be_equal(cls, pairs):
    parameters = {"reweight": True} if "reweight" in signature(cls).parameters else {}
    for X in (pairs[:8], np.repeat(pairs[:8], 3, axis=0)):
        for batch_size in (1, len(X)):
            hasher = fit(make(cls, batch_size=batch_size, **parameters), X)
            assert np.isfinite(hasher.loss_curve_["total"]).all()


def test_all_networks_are_woken_from_a_pickle(cls, pairs):
    hasher = fit(make(cls), pairs)
    loaded = pickle.loads(pickle.dumps(hasher))
    networks = wake(loaded).networks
    assert set(networks) == {"image", "text", *hasher.training_state_}
    for name, state in hasher.training_state_.items():
        for key, tensor in networks[name].state_dict().items():
            np.testing.assert_array_equal(tensor.numpy(), state[key])
    np.testing.assert_array_equal(loaded.transform(pairs), hasher.transform(pairs))
    assert partial_fit(loaded, pairs).n_iter_ > hasher.n_iter_


def test_groups_matter_and_groups_of_one_row_do_not(cls, pairs):
    alone = fit(make(cls), pairs).loss_curve_
    assert fit(make(cls), pairs, groups=np.arange(30)).loss_curve_ == alone
    assert fit(make(cls), pairs, groups=np.arange(30) // 10).loss_curve_ != alone


def test_sparse_features_give_the_codes_of_dense_ones(cls, pairs):
    codes = fit(make(cls), pairs).transform(pairs)
    X = sparse.csr_matrix(pairs)
    np.testing.assert_array_equal(fit(make(cls), X).transform(X), codes)


def test_early_stopping_scores_the_epochs_that_train_encoders(cls, pairs):
    hasher = fit(make(cls, max_iter=30, early_stopping=True, validation_fraction=0.3), pairs)
    n_scores, total = len(hasher.validation_scores_), len(hasher.loss_curve_["total"])
    assert 0 < n_scores <= 30
    assert total == hasher.n_iter_ >= n_scores


def test_an_interrupt_leaves_a_hasher_that_can_be_used(cls, pairs, monkeypatch):
    step, last = cls._step, fit(make(cls), pairs).n_iter_ - 1

    def interrupted(self, run, batch):
        if batch.epoch == last:
            raise KeyboardInterrupt
        return step(self, run, batch)

    monkeypatch.setattr(cls, "_step", interrupted)
    with pytest.warns(ConvergenceWarning, match=f"ended after {last} of {last + 1} epochs"):
        hasher = fit(make(cls), pairs)
    assert hasher.transform(pairs).shape == (30, 16)


def test_torch_s_global_generator_is_neither_read_nor_written(cls, pairs):
    torch.manual_seed(1)
    state = torch.get_rng_state()
    codes = fit(make(cls), pairs).transform(pairs)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    np.testing.assert_array_equal(fit(make(cls), pairs).transform(pairs), codes)


@pytest.mark.parametrize("init", ["random", "cca"])
def test_either_start_trains_saves_and_goes_on(cls, init, pairs):
    hasher = fit(make(cls, init=init), pairs)
    assert ("linear_path.weight" in hasher.text_state_) == (init == "cca")
    loaded = pickle.loads(pickle.dumps(hasher))
    np.testing.assert_array_equal(loaded.transform(pairs), hasher.transform(pairs))
    assert partial_fit(loaded, pairs[:5]).n_iter_ > hasher.n_iter_
    changed = {"cca": "random", "random": "cca"}[init]
    np.testing.assert_array_equal(
        hasher.set_params(init=changed).transform(pairs),
        fit(make(cls, init=init), pairs).transform(pairs),
    )
