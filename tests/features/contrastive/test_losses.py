"""Losses against plain loops over their formulas, and in shares against the whole."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skhash.features._contrastive import losses as L

N, D = 8, 5
LOSSES = [
    lambda a, b, **share: L.cross_modal_loss(a, b, 7.0, **share),
    L.text_loss,
    L.image_loss,
]
each_loss = pytest.mark.parametrize("loss", LOSSES, ids=["cross_modal", "text", "image"])


def rows(seed, n=N, d=D):
    return torch.tensor(np.random.default_rng(seed).normal(size=(n, d)))


def ids(seed, n=N, n_ids=4):
    return torch.tensor(np.random.default_rng(seed).integers(n_ids, size=n))


def cosine(a, b):
    return float(a @ b / (a.norm() * b.norm()))


def surprise(query, keys, target, scale, blocked):
    """Negative log-probability of the target among the keys that are not blocked."""
    logits = {j: scale * cosine(query, key) for j, key in enumerate(keys) if not blocked(j)}
    return math.log(sum(map(math.exp, logits.values()))) - logits[target]


def one_direction(queries, keys, scale, mask):
    return np.mean(
        [surprise(q, keys, i, scale, lambda j, i=i: mask[i, j]) for i, q in enumerate(queries)]
    )


def two_views(first, second, temperature, mask):
    views, n = torch.cat([first, second]), len(first)
    return np.mean(
        [
            surprise(
                view, views, (i + n) % (2 * n), 1 / temperature,
                lambda j, i=i: i == j or mask[i % n, j % n],
            )
            for i, view in enumerate(views)
        ]
    )  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_cross_modal_loss_without_mask_is_that_of_open_clip(open_clip, dtype):
    image, text = (torch.nn.functional.normalize(rows(seed)).to(dtype) for seed in (0, 1))
    expected = open_clip.ClipLoss()(image, text, torch.tensor(14.0, dtype=dtype))
    assert L.cross_modal_loss(image, text, 14.0) == pytest.approx(float(expected), abs=1e-6)


@pytest.mark.parametrize("masked", [False, True])
def test_the_cross_modal_loss_is_its_formula(masked):
    image, text = rows(0), rows(1)
    mask = L.negative_mask(ids(2)) if masked else None
    blocked = torch.zeros(N, N, dtype=torch.bool) if mask is None else mask
    expected = (
        one_direction(image, text, 7.0, blocked) + one_direction(text, image, 7.0, blocked)
    ) / 2
    assert L.cross_modal_loss(image, text, 7.0, mask) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("masked", [False, True])
def test_the_loss_of_texts_is_simcse_both_ways(masked):
    first, second = rows(0), rows(1)
    mask = L.negative_mask(ids(2)) if masked else None
    blocked = torch.zeros(N, N, dtype=torch.bool) if mask is None else mask
    both = one_direction(first, second, 20, blocked) + one_direction(second, first, 20, blocked)
    assert L.text_loss(first, second, mask=mask) == pytest.approx(both / 2, abs=1e-12)


@pytest.mark.parametrize("masked", [False, True])
def test_the_loss_of_images_is_nt_xent(masked):
    first, second = rows(0), rows(1)
    mask = L.negative_mask(ids(2)) if masked else None
    blocked = torch.zeros(N, N, dtype=torch.bool) if mask is None else mask
    expected = two_views(first, second, 0.1, blocked)
    assert L.image_loss(first, second, mask=mask) == pytest.approx(expected, abs=1e-12)


@each_loss
def test_a_mask_of_nothing_is_no_mask(loss):
    nothing = torch.zeros(N, N, dtype=torch.bool)
    assert loss(rows(0), rows(1), mask=nothing) == loss(rows(0), rows(1))


@each_loss
def test_a_row_is_never_masked_from_its_own_pair(loss):
    mask = L.negative_mask(ids(2))
    own = mask | torch.eye(N, dtype=torch.bool)
    assert loss(rows(0), rows(1), mask=own) == loss(rows(0), rows(1), mask=mask)


@each_loss
def test_where_all_others_are_masked_nothing_is_learned(loss):
    first = rows(0).requires_grad_()
    value = loss(first, rows(1), mask=L.negative_mask(torch.zeros(N)))
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-12)
    torch.testing.assert_close(first.grad, torch.zeros(N, D, dtype=torch.float64))


@each_loss
def test_the_length_of_rows_does_not_matter(loss):
    long, short = 3 * rows(0), rows(1) / 5
    torch.testing.assert_close(loss(long, short), loss(rows(0), rows(1)))


@each_loss
def test_swapping_the_sides_changes_nothing(loss):
    mask = L.negative_mask(ids(2))
    there, back = loss(rows(0), rows(1), mask=mask), loss(rows(1), rows(0), mask=mask)
    torch.testing.assert_close(there, back)


@each_loss
def test_gradients_are_those_of_finite_differences(loss):
    mask = L.negative_mask(ids(2))
    sides = rows(0).requires_grad_(), rows(1).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: loss(a, b, mask=mask), sides)


@each_loss
def test_under_autocast_a_loss_is_that_of_the_rounded_rows(loss):
    sides = [rows(seed).bfloat16() for seed in (0, 1)]
    with torch.autocast("cpu", torch.bfloat16):
        rounded = loss(*sides)
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, loss(*(side.float() for side in sides)))


def test_the_gradient_of_the_scale_is_finite_under_a_mask():
    scale = torch.tensor(100.0, dtype=torch.float64, requires_grad=True)
    L.cross_modal_loss(rows(0), rows(1), scale, L.negative_mask(ids(2))).backward()
    assert torch.isfinite(scale.grad)


@each_loss
@settings(max_examples=10, deadline=None)
@given(cut=st.integers(1, N - 1), seed=st.integers(0, 99))
def test_shares_of_a_batch_add_up_to_its_loss_and_gradients(loss, cut, seed):
    """Each process sees all rows and answers for its own: weighted by rows, that is the whole."""
    values, gradients = [], []
    for shares in ([slice(None)], [slice(0, cut), slice(cut, None)]):
        sides = rows(seed).requires_grad_(), rows(seed + 1).requires_grad_()
        total = 0
        for share in shares:
            mask = L.negative_mask(ids(seed), rows=share)
            total = total + len(mask) / N * loss(*sides, mask=mask, rows=share)
        total.backward()
        values.append(total.item())
        gradients.append([side.grad for side in sides])
    assert values[0] == pytest.approx(values[1], abs=1e-12)
    torch.testing.assert_close(gradients[0], gradients[1])


def test_two_equal_shares_through_a_head_with_batch_normalization_average_to_the_whole():
    first, second = rows(0), rows(1)

    def learn(shares):
        head = L.make_head("mlp", D, 6, 3, torch.Generator().manual_seed(0)).double()
        for share in shares:
            (L.image_loss(head(first), head(second), rows=share) / len(shares)).backward()
        return [parameter.grad for parameter in head.parameters()]

    half = N // 2
    torch.testing.assert_close(learn([slice(0, half), slice(half, N)]), learn([slice(None)]))


def test_rows_that_share_any_id_are_no_negatives():
    groups, captions = ids(0), ids(1)
    mask = L.negative_mask(groups, captions)
    for i in range(N):
        for j in range(N):
            alike = groups[i] == groups[j] or captions[i] == captions[j]
            assert mask[i, j] == (i != j and bool(alike))


def test_rows_more_similar_than_the_threshold_are_no_negatives():
    z = torch.nn.functional.normalize(rows(0))
    mask = L.negative_mask(ids(1), features=z, threshold=0.3)
    for i in range(N):
        for j in range(N):
            alike = ids(1)[i] == ids(1)[j] or cosine(z[i], z[j]) > 0.3
            assert mask[i, j] == (i != j and bool(alike))
    assert mask.sum() > L.negative_mask(ids(1)).sum()


def test_the_mask_of_some_rows_is_a_part_of_the_mask():
    z = torch.nn.functional.normalize(rows(0)).requires_grad_()
    whole = L.negative_mask(ids(1), features=z, threshold=0.3)
    part = L.negative_mask(ids(1), features=z, threshold=0.3, rows=slice(3, 6))
    assert torch.equal(part, whole[3:6])


def head(kind, seed=0):
    return L.make_head(kind, D, 6, 3, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("kind", "shape"), [("mlp", (N, 3)), ("linear", (N, 3)), (None, (N, D))])
def test_a_head_maps_rows_and_passes_gradients(kind, shape):
    x, made = rows(0).float().requires_grad_(), head(kind)
    out = made(x)
    assert out.shape == shape
    L.image_loss(out, rows(1, *shape).float()).backward()
    for tensor in (x, *made.parameters()):
        assert torch.isfinite(tensor.grad).all()
    # What shifts all rows alike is taken out again by the normalization that follows.
    weights = [p for p in made.parameters() if p.ndim == 2]
    assert all(tensor.grad.abs().max() > 1e-4 for tensor in (x, *weights))


def test_in_eval_a_row_passes_the_head_alone_as_among_others():
    made, x = head("mlp"), rows(0).float()
    for _ in range(3):
        made(x + 2)  # learns the mean and the spread
    made.eval()
    before = {name: value.clone() for name, value in made.state_dict().items()}
    together = made(x)
    torch.testing.assert_close(torch.cat([made(row) for row in x.split(1)]), together)
    assert all(torch.equal(made.state_dict()[name], value) for name, value in before.items())


def test_in_training_the_head_learns_what_eval_uses():
    made, x = head("mlp"), rows(0).float() * 3 + 1
    untrained = made.eval()(x)
    made.train()
    for _ in range(200):
        in_training = made(x)
    torch.testing.assert_close(made.eval()(x), in_training, rtol=0.2, atol=0.1)
    assert (untrained - in_training).abs().max() > 0.3


@pytest.mark.parametrize("kind", ["mlp", "linear"])
def test_a_head_is_drawn_from_its_generator_alone(kind):
    state = torch.random.get_rng_state()
    same, other = head(kind).state_dict(), head(kind, seed=1).state_dict()
    assert torch.equal(torch.random.get_rng_state(), state)
    for name, value in head(kind).state_dict().items():
        assert torch.equal(value, same[name])
    assert any(not torch.equal(same[name], other[name]) for name in same)


def test_a_head_starts_as_torch_starts_its_layers():
    weight = L.make_head("linear", 64, 0, 500, torch.Generator().manual_seed(0)).weight
    assert weight.abs().max() <= 1 / 8
    assert weight.std().item() == pytest.approx(1 / 8 / math.sqrt(3), rel=0.02)
