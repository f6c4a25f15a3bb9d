"""Training that goes on, stops, or is stopped, shown on CFRH."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from skhash.hashing import CFRHHasher
from skhash.hashing._deep import training as _training


def test_groups_reach_the_affinity(hasher, pairs):
    alone = hasher().fit(pairs)
    grouped = hasher().fit(pairs, groups=np.repeat(["a", "b", "c"], 10))
    assert alone.loss_curve_["cross"] != grouped.loss_curve_["cross"]
    np.testing.assert_array_equal(
        alone.transform(pairs), hasher().fit(pairs, groups=np.arange(30)).transform(pairs)
    )


def test_one_thread_or_two_give_the_same_bits_and_leave_the_setting():
    code = (
        "import numpy as np, torch, hashlib\n"
        "from skhash.hashing import CFRHHasher\n"
        "X = np.random.default_rng(0).normal(size=(300, 700)).astype('float32')\n"
        "h = CFRHHasher(n_bits=16, n_image_features=300, max_iter=3, random_state=0).fit(X)\n"
        "bits = h.transform(X)\n"  # real codes are rounded otherwise by BLAS of other threads
        "weights = b''.join(a.tobytes() for a in (bits, *h.image_state_.values()))\n"
        "print(torch.get_num_threads(), hashlib.sha256(weights).hexdigest())\n"
    )

    def run(threads):
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.split()

    (one, bits_of_one), (two, bits_of_two) = run("1"), run("2")
    assert (one, two) == ("1", "2")
    assert bits_of_one == bits_of_two


def test_partial_fit_in_a_loop_equals_fit(hasher, pairs):
    streamed = hasher()
    for _ in range(3):
        streamed.partial_fit(pairs)
    whole = hasher().fit(pairs)
    assert streamed.n_iter_ == whole.n_iter_ == 3
    np.testing.assert_array_equal(streamed.transform(pairs), whole.transform(pairs))


def test_partial_fit_takes_chunks(hasher, pairs):
    streamed = hasher()
    for rows in (slice(0, 12), slice(12, 30)):
        streamed.partial_fit(pairs[rows])
    assert streamed.n_iter_ == len(streamed.loss_curve_["total"]) == 2
    assert streamed.transform(pairs).shape == (30, 20)


def test_warm_start_goes_on_and_a_cold_start_begins_anew(hasher, pairs):
    warm = hasher(warm_start=True).fit(pairs).fit(pairs)
    cold = hasher().fit(pairs).fit(pairs)
    assert (warm.n_iter_, cold.n_iter_) == (6, 3)
    assert warm.loss_curve_["total"][:3] == cold.loss_curve_["total"]


def test_training_goes_on_after_a_pickle(hasher, pairs):
    loaded = pickle.loads(pickle.dumps(hasher().partial_fit(pairs)))
    assert loaded.partial_fit(pairs).n_iter_ == 2


@pytest.mark.parametrize("name", ["n_bits", "hidden_units", "decoder_hidden_units"])
@pytest.mark.parametrize("pickled", [False, True])
def test_a_parameter_of_the_networks_that_changes_after_fit_changes_no_code(
    hasher, pairs, name, pickled
):
    model = hasher(warm_start=True).fit(pairs)
    codes, names = model.transform(pairs), model.get_feature_names_out()
    model.set_params(**{name: 7})
    if pickled:
        model = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(model.transform(pairs), codes)
    np.testing.assert_array_equal(model.get_feature_names_out(), names)
    for go_on in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match=f"training cannot continue with {name}=7, since the"):
            go_on(pairs)
    np.testing.assert_array_equal(model.transform(pairs), codes)
    assert model.set_params(warm_start=False, n_bits=7).fit(pairs).transform(pairs).shape == (
        30,
        14,
    )


def test_training_goes_on_with_another_learning_rate(hasher, pairs):
    model = hasher(warm_start=True).fit(pairs).set_params(learning_rate=0.002)
    assert model.fit(pairs).n_iter_ == 6


def test_training_that_fails_leaves_the_fitted_weights_in_use(hasher, pairs):
    model = hasher(optimizer="sgd", warm_start=True).fit(pairs)
    codes = model.transform(pairs)
    with pytest.raises(FloatingPointError):
        model.set_params(learning_rate=1e30, max_iter=20).fit(pairs)
    np.testing.assert_array_equal(model.transform(pairs), codes)


def test_early_stopping_keeps_the_best_weights(hasher, pairs):
    model = hasher(
        max_iter=40, early_stopping=True, validation_fraction=0.3, n_iter_no_change=3
    ).fit(pairs)
    scores = model.validation_scores_
    assert len(scores) == model.n_iter_ < 40
    assert model.alpha_ == np.sqrt(np.argmax(scores) + 1)
    assert max(scores[-3:]) <= max(scores[:-3]) + model.tol


def test_given_validation_pairs_are_scored_without_being_trained_on(hasher, pairs):
    model = hasher().fit(pairs[:20], X_val=pairs[20:])
    assert len(model.validation_scores_) == 3
    assert model.validation_scores_[-1] == pytest.approx(model.score(pairs[20:]))
    np.testing.assert_array_equal(model.transform(pairs), hasher().fit(pairs[:20]).transform(pairs))


def test_held_out_groups_are_whole(hasher, pairs):
    groups = np.repeat(np.arange(6), 5)
    held = hasher()._check_pairs(pairs, groups, reset=True)
    train, validation = _training.hold_out(held, 0.3, seed=0)
    assert set(train.groups).isdisjoint(validation.groups)
    assert len(train) + len(validation) == 30


def test_interrupted_training_leaves_a_usable_hasher_and_says_so(hasher, pairs, monkeypatch):
    model, step, calls = hasher(), CFRHHasher._step, []

    def interrupted(self, *arguments):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return step(self, *arguments)

    monkeypatch.setattr(CFRHHasher, "_step", interrupted)
    with pytest.warns(
        ConvergenceWarning, match=r"ended after 1 of 3 epochs \(interrupted\).*can be used"
    ):
        model.fit(pairs)
    assert model.n_iter_ == 1
    assert model.transform(pairs).shape == (30, 20)


def test_a_first_epoch_that_is_interrupted_leaves_the_former_codes(hasher, pairs, monkeypatch):
    def interrupted(self, *arguments):
        raise KeyboardInterrupt

    new, former = hasher(), hasher(warm_start=True).fit(pairs)
    codes = former.transform(pairs)
    monkeypatch.setattr(CFRHHasher, "_step", interrupted)
    for model in (new, former):
        with pytest.raises(KeyboardInterrupt):
            model.fit(pairs[::2])
    np.testing.assert_array_equal(former.transform(pairs), codes)
    with pytest.raises(NotFittedError):
        new.transform(pairs)


@pytest.mark.parametrize("error", [KeyboardInterrupt, float("nan")], ids=["Ctrl-C", "nan"])
def test_training_that_breaks_off_keeps_the_last_whole_epoch(hasher, pairs, monkeypatch, error):
    loss, last = CFRHHasher._loss, hasher(max_iter=2).fit(pairs)

    def breaking(self, run, batch):
        terms = loss(self, run, batch)
        if batch.epoch == 2:
            if error is KeyboardInterrupt:
                raise error
            terms = {name: term * error for name, term in terms.items()}
        return terms

    with monkeypatch.context() as patch:
        patch.setattr(CFRHHasher, "_loss", breaking)
        with pytest.warns(ConvergenceWarning, match="ended after 2 of 5 epochs") as caught:
            model = hasher(max_iter=5).fit(pairs)
    assert caught[0].filename == __file__
    assert model.n_iter_ == len(model.loss_curve_["total"]) == 2
    for name, weights in last.image_state_.items():
        np.testing.assert_array_equal(model.image_state_[name], weights)
    model.partial_fit(pairs)
    assert np.isfinite(model.image_state_["code.weight"]).all()


def test_a_loss_that_is_not_finite_in_the_first_epoch_is_raised(hasher, pairs):
    with pytest.raises(FloatingPointError, match=r"loss is nan in epoch \d+: lower learning_rate"):
        hasher(optimizer="sgd", learning_rate=1e30, max_iter=20).fit(pairs)


@pytest.mark.filterwarnings("ignore:.*are equal")
def test_collapse_is_announced(hasher, pairs):
    constant = np.ones_like(np.tile(pairs, (10, 1))) + np.arange(15, dtype=np.float32)
    with pytest.warns(ConvergenceWarning, match="codes have collapsed") as seen:
        hasher(center=False).fit(constant)
    assert {warning.filename for warning in seen} == {__file__}


def test_verbose_training_tells_its_progress(hasher, pairs, capsys):
    hasher(verbose=2).fit(pairs)
    assert capsys.readouterr().out.count("[CFRHHasher] epoch") == 3
