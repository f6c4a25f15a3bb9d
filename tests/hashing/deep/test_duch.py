"""DUCH against a plain reference written from its formulas, on 8 rows."""

import pickle

import numpy as np
import pytest
import torch
from scipy.special import expit, logsumexp

from skhash.hashing import DUCHHasher
from skhash.hashing._deep import functional as F

SETTINGS = {"n_bits": 6, "n_image_features": 5, "hidden_units": 4, "batch_size": 8}


def unit(x):
    return x / np.sqrt((x * x).sum(axis=1, keepdims=True))


def numbers(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def reference_contrast(a, b, temperature, groups):
    both, other, groups = np.vstack([a, b]), np.vstack([b, a]), np.tile(groups, 2)
    losses = []
    for i in range(16):
        positive = unit(both)[i] @ unit(other)[i] / temperature
        others = [j for j in range(16) if groups[j] != groups[i]]
        losses.append(
            logsumexp([positive, *(unit(both)[others] @ unit(both)[i] / temperature)]) - positive
        )
    return np.mean(losses)


@pytest.mark.parametrize("groups", [np.arange(8), np.array([0, 0, 1, 2, 3, 4, 5, 5])])
def test_loss_terms_equal_the_formulas(begin, eight, groups):
    weights = {
        "inter_weight": 0.7,
        "intra_weight": 0.6,
        "adversarial_weight": 0.5,
        "quantization_weight": 0.4,
        "balance_weight": 0.3,
    }
    hasher = DUCHHasher(temperature=0.8, **weights, **SETTINGS)
    run = begin(hasher, eight, groups)
    discriminator = run.networks["discriminator"].double()
    i, i_view, t, t_view = codes = [np.tanh(numbers(seed, 8, 6)) for seed in range(4)]
    batch = run.batch(np.arange(8))
    batch.codes = {
        "image": torch.from_numpy(np.vstack([i, i_view])),
        "text": torch.from_numpy(np.vstack([t, t_view])),
    }
    passed = expit(discriminator(batch.codes["image"]).detach().numpy())
    signs = np.where(sum(codes) >= 0, 1, -1)
    views = (i, i_view), (t, t_view)
    expected = {
        "inter": 0.7 * reference_contrast(i, t, 0.8, groups),
        "intra": 0.6 * sum(reference_contrast(a, b, 0.8, groups) for a, b in views),
        "adversarial": -0.5 * np.log(passed).mean(),
        "quantization": 0.4 * sum(((h - signs) ** 2).sum(axis=1).mean() for h in codes),
        "balance": 0.3 * sum((h.mean(axis=0) ** 2).sum() for h in codes),
    }
    terms = hasher._loss(run, batch)
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected)


def test_balance_is_of_each_bit_over_rows_not_of_the_bits_of_a_row():
    stuck_bits = torch.tensor([1.0, -1.0]).repeat(8, 3)  # each row sums to 0
    assert F.bit_balance(stuck_bits).item() == pytest.approx(6)
    balanced = torch.tensor([1.0, -1.0]).repeat(4)[:, None].repeat(1, 6)
    assert F.bit_balance(balanced).item() == 0


def test_discrimination_of_a_linear_discriminator_has_a_closed_form():
    real, fake, mix = numbers(0, 8, 6), numbers(1, 8, 6), np.random.default_rng(2).random((8, 6))
    w = numbers(3, 6)
    told = -np.log(expit(real @ w)).mean() - np.log(1 - expit(fake @ w)).mean()
    expected = told + 10 * (np.sqrt((w**2).sum()) - 1) ** 2
    weights = torch.from_numpy(w)[:, None]
    loss = F.discrimination(lambda x: x @ weights, *map(torch.from_numpy, (real, fake, mix)))
    assert loss.item() == pytest.approx(expected)


def test_both_modalities_have_a_second_view_of_their_features(begin, eight):
    hasher = DUCHHasher(dropped=0.5, **SETTINGS)
    run = begin(hasher, eight)
    batch = run.whole()
    for block in ("image", "text"):
        first, second = hasher._encode_views(run, batch, block).chunk(2)
        assert not torch.equal(first, second)


def test_dropped_features_are_a_share_and_leave_the_others():
    x = torch.full((400, 10), 2.0)
    view = F.drop_features(x, 0.3, torch.Generator().manual_seed(0))
    assert set(view.unique().tolist()) == {0.0, 2.0}
    assert (view == 0).float().mean().item() == pytest.approx(0.3, abs=0.03)
    assert torch.equal(F.drop_features(x, 0.0, torch.Generator()), x)


def test_each_optimizer_moves_its_own_networks_alone(begin, eight):
    hasher = DUCHHasher(**SETTINGS)
    run = begin(hasher, eight)
    batch = run.whole()
    batch.codes = {b: hasher._encode_views(run, batch, b) for b in ("image", "text")}

    def weights():
        return {
            name: torch.cat([weight.detach().flatten() for weight in network.parameters()])
            for name, network in run.networks.items()
        }

    before = weights()
    hasher._train_discriminator(run, batch)
    between = weights()
    run.step(hasher._loss(run, batch))
    after = weights()
    moved = {name: not torch.equal(before[name], between[name]) for name in before}
    assert moved == {"image": False, "text": False, "discriminator": True}
    moved = {name: not torch.equal(between[name], after[name]) for name in before}
    assert moved == {"image": True, "text": True, "discriminator": False}


def test_encoding_uses_running_statistics_and_changes_none(pairs):
    hasher = DUCHHasher(**{**SETTINGS, "n_image_features": 6}, max_iter=2, random_state=0)
    codes = hasher.fit(pairs).set_params(output="real").transform(pairs)
    state = pickle.dumps((hasher.image_state_, hasher.text_state_, hasher.training_state_))
    alone = np.vstack([hasher.transform(pairs[[row]]) for row in range(len(pairs))])
    np.testing.assert_allclose(alone, codes, atol=1e-6)
    again = pickle.dumps((hasher.image_state_, hasher.text_state_, hasher.training_state_))
    assert again == state
    w = hasher.image_state_
    assert w["norm.running_mean"].any()
    z = (pairs[:, :6] - w["mean"]) / w["scale"] @ w["hidden.weight"].T + w["hidden.bias"]
    spread = np.sqrt(w["norm.running_var"] + 1e-5)
    z = (z - w["norm.running_mean"]) / spread * w["norm.weight"] + w["norm.bias"]
    expected = np.tanh(np.maximum(z, 0) @ w["code.weight"].T + w["code.bias"])
    np.testing.assert_allclose(codes[:, :6], expected, atol=1e-5)


def test_partial_fit_in_a_loop_drops_the_same_features_as_fit(pairs):
    settings = {**SETTINGS, "n_image_features": 6, "max_iter": 3, "random_state": 0}
    streamed = DUCHHasher(**settings)
    for _ in range(3):
        streamed.partial_fit(pairs)
    assert streamed.loss_curve_ == DUCHHasher(**settings).fit(pairs).loss_curve_
