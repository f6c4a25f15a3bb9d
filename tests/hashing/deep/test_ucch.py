"""UCCH against a plain reference written from its formulas, on 8 rows."""

import numpy as np
import pytest
import torch
from scipy.special import logsumexp

from skhash.hashing import UCCHHasher
from skhash.hashing._deep import functional as F
from skhash.hashing._deep.training import Batch

SETTINGS = {"n_bits": 6, "n_image_features": 5, "hidden_units": 4, "batch_size": 4}


def unit(x):
    return x / np.sqrt((x * x).sum(axis=1, keepdims=True))


def numbers(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def test_contrast_with_keys_equals_the_formula():
    codes, own, others = numbers(0, 8, 6), numbers(1, 8, 6), numbers(2, 5, 6)
    same = np.random.default_rng(3).random((8, 5)) < 0.3
    losses = []
    for i in range(8):
        b = unit(codes)[i]
        positive = b @ unit(own)[i] / 0.9
        negatives = [b @ unit(others)[j] / 0.9 for j in range(5) if not same[i, j]]
        losses.append(logsumexp([positive, *negatives]) - positive)
    loss = F.memory_contrast(*map(torch.from_numpy, (codes, own, others, same)), 0.9)
    assert loss.item() == pytest.approx(np.mean(losses))


def test_ranking_equals_the_formula():
    a, b = unit(numbers(0, 8, 6)), unit(numbers(1, 8, 6))
    groups = np.array([0, 1, 1, 2, 3, 4, 5, 6])
    total = 0
    for s in (a @ b.T, b @ a.T):
        for i in range(8):
            kept = [j for j in range(8) if j == i or groups[j] != groups[i]]
            costs = [s[i, j] if s[i, j] >= s[i, i] - 0.2 else s[i, j] - 0.5 for j in kept]
            total += (logsumexp(costs) - s[i, i]) / 8
    same = torch.from_numpy(groups[:, None] == groups)
    loss = F.ranking(torch.from_numpy(a), torch.from_numpy(b), same, 0.2, 0.5)
    assert loss.item() == pytest.approx(total)


def batches(run):
    for rows in (np.array([6, 1, 3, 0]), np.array([2, 7, 4, 5])):
        yield run.batch(rows)


def test_the_first_epoch_compares_within_the_batch_and_fills_the_memory(begin, eight):
    hasher = UCCHHasher(**SETTINGS)
    run = begin(hasher, eight)
    for batch in batches(run):
        before = {b: codes.detach().numpy() for b, codes in run.encode(batch).items()}
        hasher._step(run, batch)
        mean = unit(unit(before["image"]) + unit(before["text"]))
        np.testing.assert_allclose(run.memory["bank"][batch.rows], mean, atol=1e-6)
        own, others, same = hasher._keys(run, batch)
        np.testing.assert_array_equal(own, np.where(mean >= 0, 1, -1))
        assert own is others
        np.testing.assert_array_equal(same, np.eye(4, dtype=bool))
    assert run.memory["bank"].norm(dim=1).numpy() == pytest.approx(np.ones(8))


def test_later_epochs_compare_with_signs_in_memory_and_move_them(begin, eight):
    hasher = UCCHHasher(memory_momentum=0.3, **SETTINGS)
    run = begin(hasher, eight)
    bank = torch.from_numpy(unit(numbers(0, 8, 6)).astype(np.float32))
    run.memory["bank"] = bank.clone()
    run.memory["known"][:] = True
    batch = next(batches(run))
    batch.epoch = 1
    own, others, same = hasher._keys(run, batch)
    np.testing.assert_array_equal(own, np.where(bank[batch.rows] >= 0, 1, -1))
    assert len(others) == 8
    np.testing.assert_array_equal(same.sum(dim=1), np.ones(4))
    hasher._step(run, batch)
    codes = sum(batch.codes.values()).detach().numpy()
    expected = unit(0.3 * bank[batch.rows].numpy() + 0.7 * unit(codes))
    np.testing.assert_allclose(run.memory["bank"][batch.rows], expected, atol=1e-6)


def test_negatives_are_drawn_by_the_run_alone_and_never_twice(begin, pairs):
    settings = {**SETTINGS, "n_image_features": 6, "n_negatives": 7}
    drawn = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        hasher = UCCHHasher(**settings)
        run = begin(hasher, pairs)
        run.memory["bank"] = torch.from_numpy(numbers(0, 30, 6))
        run.memory["known"][:] = True
        batch = run.batch(np.arange(4))
        batch.epoch = 1
        state = torch.get_rng_state()
        rows = [hasher._keys(run, batch)[2] for _ in range(3)]
        assert torch.equal(torch.get_rng_state(), state)
        assert all(same.shape == (4, 7) for same in rows)
        assert all(same.sum(dim=0).max() <= 1 for same in rows)
        drawn.append(torch.cat(rows))
    assert torch.equal(*drawn)


@pytest.mark.parametrize("epoch", [0, 1])
def test_rows_of_one_group_are_no_negatives(begin, eight, epoch):
    groups = np.array([0, 1, 0, 1, 0, 1, 0, 1])
    hasher = UCCHHasher(**SETTINGS)
    run = begin(hasher, eight, groups)
    run.memory["known"][:] = True
    batch = run.batch(np.array([0, 2, 4, 6]))
    batch.epoch, batch.codes = epoch, run.encode(batch)
    same = hasher._keys(run, batch)[2]
    assert same.sum() == 16
    assert hasher._loss(run, batch)["ranking"].item() == pytest.approx(0, abs=1e-6)


def test_the_gradient_is_clipped(begin, eight):
    hasher = UCCHHasher(max_norm=1e-3, **SETTINGS)
    run = begin(hasher, eight)
    hasher._step(run, run.batch(np.arange(4)))
    gradients = [weight.grad.square().sum() for weight in run.networks.parameters()]
    assert torch.stack(gradients).sum().sqrt().item() == pytest.approx(1e-3, rel=1e-3)


def test_training_that_goes_on_begins_with_the_codes_of_its_pairs(eight):
    hasher = UCCHHasher(max_iter=2, warm_start=True, random_state=0, **SETTINGS).fit(eight)
    hasher.set_params(output="real")
    image, text = np.split(hasher.transform(eight), 2, axis=1)
    banks, begin = [], UCCHHasher._begin

    def watched(self, run, phase):
        begin(self, run, phase)
        banks.append(run.memory["bank"].numpy().copy())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(UCCHHasher, "_begin", watched)
        hasher.fit(eight)
    np.testing.assert_allclose(banks[0], unit(image + text), atol=1e-5)
    assert hasher.n_iter_ == 4


def test_rows_that_no_batch_has_had_are_no_keys(begin, eight):
    run = begin(UCCHHasher(**SETTINGS), eight)
    codes = {"image": numbers(0, 4, 6), "text": numbers(1, 4, 6)}
    codes = {block: torch.from_numpy(values).float() for block, values in codes.items()}
    run.memory["bank"][:6] = torch.from_numpy(numbers(2, 6, 6)).float()
    run.memory["known"][:6] = True
    batch = Batch(np.array([0, 1, 6, 7]), {}, epoch=3, codes=codes)
    own, others, same = UCCHHasher(**SETTINGS)._keys(run, batch)
    assert len(others) == 6
    assert same.sum() == 2
    now = F.binary(codes["image"] + codes["text"])
    np.testing.assert_array_equal(own, torch.cat([F.binary(run.memory["bank"][:2]), now[2:]]))
    UCCHHasher(**SETTINGS)._remember(run, batch)
    new = F.unit_rows(codes["image"] + codes["text"])
    np.testing.assert_array_equal(run.memory["bank"][6:], F.unit_rows(new)[2:])
    assert run.memory["known"].all()
