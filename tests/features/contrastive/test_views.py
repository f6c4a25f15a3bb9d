"""Second views: what they change, what they keep, and that a generator decides all."""

import colorsys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from skhash.features._contrastive import views as P

each_kind = pytest.mark.parametrize("kind", ["mild", "simclr"])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(n=4, height=16, width=16, seed=0):
    draws = np.random.default_rng(seed).integers(256, size=(n, 3, height, width), dtype=np.uint8)
    return torch.from_numpy(draws)


def repeated(picture, n=400):
    return torch.as_tensor(picture, dtype=torch.float32).expand(n, -1, -1, -1)


@each_kind
@pytest.mark.parametrize("size", [(16, 16), (5, 7), (32, 20)])
def test_views_are_float_pictures_of_the_same_size(kind, size):
    given_pictures = pictures(3, *size)
    before = given_pictures.clone()
    views = P.augment(given_pictures, kind, generator())
    assert views.shape == given_pictures.shape
    assert views.dtype == torch.float32
    assert views.min() >= 0
    assert views.max() <= 1
    assert torch.equal(given_pictures, before)


@each_kind
def test_bytes_and_floats_give_the_same_views(kind):
    floats = pictures().double() / 255
    before = floats.clone()
    torch.testing.assert_close(
        P.augment(floats, kind, generator()), P.augment(pictures(), kind, generator())
    )
    assert torch.equal(floats, before)


@each_kind
def test_views_are_drawn_from_the_generator_alone(kind):
    state = torch.random.get_rng_state()
    draws = generator()
    first, second = P.augment(pictures(), kind, draws), P.augment(pictures(), kind, draws)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(P.augment(pictures(), kind, generator()), first)
    assert not torch.equal(first, second)


@each_kind
def test_every_picture_of_a_batch_has_a_view_of_its_own(kind):
    views = P.augment(repeated(pictures(1)[0] / 255, 10), kind, generator())
    assert all(not torch.allclose(a, b) for i, a in enumerate(views) for b in views[:i])


def test_without_a_kind_a_view_is_the_picture_and_nothing_is_drawn():
    draws = generator()
    for given_pictures in (pictures(), pictures() / 255):
        assert torch.equal(P.augment(given_pictures, None, draws), pictures() / 255)
    assert torch.equal(draws.get_state(), generator().get_state())


def test_mild_views_keep_left_and_right():
    half = np.zeros((3, 16, 16))
    half[:, :, 8:] = 1
    views = P.augment(repeated(half), "mild", generator())
    assert (views[..., -1].mean(dim=(1, 2)) - views[..., 0].mean(dim=(1, 2)) > 0.4).all()


def test_mild_views_keep_hues():
    orange = np.array([0.8, 0.5, 0.2])[:, None, None] * np.ones((3, 16, 16))
    views = P.augment(repeated(orange), "mild", generator()).mean(dim=(2, 3)).numpy()
    hues = [colorsys.rgb_to_hsv(*view)[0] for view in views]
    np.testing.assert_allclose(hues, colorsys.rgb_to_hsv(0.8, 0.5, 0.2)[0], atol=0.02)


def test_mild_views_change_brightness_by_up_to_a_fifth():
    grey = np.full((3, 16, 16), 0.5)
    levels = P.augment(repeated(grey), "mild", generator()).mean(dim=(1, 2, 3)) / 0.5
    assert levels.min().item() == pytest.approx(0.8, abs=0.01)
    assert levels.max().item() == pytest.approx(1.2, abs=0.01)


def test_mild_views_are_noisy_by_one_fiftieth():
    grey = np.full((3, 16, 16), 0.5)
    views = P.augment(repeated(grey, 100), "mild", generator())
    noise = views - views.mean(dim=(2, 3), keepdim=True)
    assert noise.std().item() == pytest.approx(0.02, rel=0.02)
    pixels = noise.flatten(1).numpy()
    assert np.abs(np.corrcoef(pixels) - np.eye(100)).max() < 0.2


def boxes(monkeypatch, kind):
    """The boxes that are cut out of 2000 pictures."""
    seen = []
    crop = P._crop
    monkeypatch.setattr(P, "_crop", lambda *box: seen.append(box) or crop(*box))
    P.augment(repeated(np.zeros((3, 4, 4)), 2000), kind, generator())
    return [values.numpy() for values in seen[0][1:]]


def test_mild_crops_are_squares_of_three_quarters_to_all(monkeypatch):
    width, height, x, y = boxes(monkeypatch, "mild")
    np.testing.assert_array_equal(width, height)
    np.testing.assert_allclose(np.quantile(width**2, [0, 0.5, 1]), [0.75, 0.875, 1], atol=0.01)
    np.testing.assert_allclose(np.quantile([x, y], [0, 0.5, 1]), [-1, 0, 1], atol=0.05)


def test_simclr_crops_have_the_shares_ratios_and_flips_of_the_paper(monkeypatch):
    width, height, _, _ = boxes(monkeypatch, "simclr")
    assert np.mean(width < 0) == pytest.approx(0.5, abs=0.04)
    width = np.abs(width)
    inside = (width < 1) & (height < 1)
    area, ratio = (width * height)[inside], (width / height)[inside]
    assert area.min() == pytest.approx(0.08, abs=0.01)
    assert (ratio.min(), ratio.max()) == pytest.approx((3 / 4, 4 / 3), abs=0.01)
    assert max(width.max(), height.max()) == 1


def test_some_simclr_views_are_grey():
    colour = np.array([0.8, 0.5, 0.2])[:, None, None] * np.ones((3, 4, 4))
    views = P.augment(repeated(colour, 2000), "simclr", generator())
    grey = (views.amax(dim=1) - views.amin(dim=1)).amax(dim=(1, 2)) < 1e-3
    assert grey.float().mean().item() == pytest.approx(0.2, abs=0.03)


def test_some_simclr_views_keep_their_colours():
    colour = np.array([0.8, 0.5, 0.2])[:, None, None] * np.ones((3, 4, 4))
    views = P.augment(repeated(colour, 2000), "simclr", generator())
    kept = (views - repeated(colour, 2000)).abs().amax(dim=(1, 2, 3)) < 1e-3
    assert kept.float().mean().item() == pytest.approx(0.2 * 0.8, abs=0.03)


def test_a_box_is_cut_out_by_linear_interpolation():
    picture = pictures(1, 6, 8).float()
    box = [torch.tensor([value]) for value in (0.5, 0.75, 0.3, -0.4)]
    view = P._crop(picture, *box)[0, 0]
    width, height, x, y = (value.item() for value in box)

    def place(pixel, length, share, where):
        middle = (1 - share) * (1 + where) / 2 * length + (pixel + 0.5) * share
        return min(max(middle - 0.5, 0), length - 1)

    for i in range(6):
        for j in range(8):
            down, right = place(i, 6, height, y), place(j, 8, width, x)
            a, b = min(int(down), 4), min(int(right), 6)
            corners = picture[0, 0, a : a + 2, b : b + 2].numpy()
            weights = np.outer([a + 1 - down, down - a], [b + 1 - right, right - b])
            assert view[i, j].item() == pytest.approx((corners * weights).sum(), abs=1e-3)


def test_the_whole_picture_is_a_box_and_so_is_its_mirror_image():
    whole, middle = torch.ones(4), torch.zeros(4)
    x = pictures().float()
    torch.testing.assert_close(P._crop(x, whole, whole, middle, middle), x)
    torch.testing.assert_close(P._crop(x, -whole, whole, middle, middle), x.flip(3))


def recolour(picture, brightness=1.0, contrast=1.0, saturation=1.0, turn=0.0):
    factors = (torch.tensor([value]) for value in (brightness, contrast, saturation, turn))
    return P._recolour(picture, *factors)


def test_brightness_scales_and_contrast_stretches_around_the_mean_lightness():
    x = pictures(1).float() / 255
    lightness = (torch.tensor([0.299, 0.587, 0.114]) @ x[0].flatten(1)).mean()
    expected = 1.3 * (0.6 * x + 0.4 * lightness)
    torch.testing.assert_close(recolour(x, 1.3, 0.6), expected, atol=1e-5, rtol=0)


def test_saturation_and_turn_move_colours_in_the_plane_of_hues():
    x = pictures(1, 3, 3).float() / 255
    after = recolour(x, saturation=0.7, turn=0.15)[0].flatten(1).T
    for before, changed in zip(x[0].flatten(1).T, after, strict=True):
        y, i, q = colorsys.rgb_to_yiq(*before.tolist())
        z, j, r = colorsys.rgb_to_yiq(*changed.tolist())
        turned = 0.7 * complex(i, q) * np.exp(2j * np.pi * 0.15)
        np.testing.assert_allclose([z, j, r], [y, turned.real, turned.imag], atol=5e-3)


def test_a_blur_averages_with_the_weights_of_a_gaussian_cut_at_a_twentieth():
    x = pictures(2, 60, 40).float()
    sigma = [0.0, 1.5]
    blurred = P._blur(x, torch.tensor(sigma))
    torch.testing.assert_close(blurred[0], x[0])
    for i, j in [(0, 0), (30, 20), (59, 1)]:
        total = weight = 0.0
        for k in range(max(0, i - 2), min(60, i + 3)):
            for m in range(max(0, j - 2), min(40, j + 3)):
                w = np.exp(-((k - i) ** 2 + (m - j) ** 2) / (2 * 1.5**2))
                total, weight = total + w * x[1, 0, k, m].item(), weight + w
        assert blurred[1, 0, i, j].item() == pytest.approx(total / weight, rel=1e-4)


@pytest.mark.parametrize(
    ("tower", "drops"),
    [
        (nn.Linear(2, 2), False),
        (nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.0)), False),
        (nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.1)), True),
        (nn.MultiheadAttention(4, 2), False),
        (nn.MultiheadAttention(4, 2, dropout=0.1), True),
        (nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0), False),
        (nn.TransformerEncoderLayer(4, 2, 8, dropout=0.1), True),
    ],
)
def test_dropout_is_found_wherever_it_is(tower, drops):
    assert P.has_dropout(tower) is drops
    assert P.has_dropout(tower.eval()) is drops


def test_the_text_tower_of_open_clip_has_no_dropout(open_clip, tiny):
    with torch.random.fork_rng(devices=[]):
        assert not P.has_dropout(open_clip.create_model(tiny))


PAD, BEGIN, END = 0, 1, 2
TEXTS = st.lists(st.lists(st.integers(3, 9), max_size=8), min_size=1, max_size=6)


def padded(texts, length=12):
    rows = [[BEGIN, *text, END] + [PAD] * (length - 2 - len(text)) for text in texts]
    return torch.tensor(rows)


def drop(tokens, seed=0, **options):
    return P.word_dropout(tokens, [BEGIN, END], PAD, generator(seed), **options)


@settings(max_examples=50, deadline=None)
@given(texts=TEXTS, probability=st.floats(0, 1), seed=st.integers(0, 99))
def test_word_dropout_leaves_specials_and_some_words_in_order(texts, probability, seed):
    tokens = padded(texts)
    before = tokens.clone()
    shortened = drop(tokens, seed, probability=probability)
    assert torch.equal(tokens, before)
    assert shortened.dtype == tokens.dtype
    for text, row in zip(texts, shortened.tolist(), strict=True):
        words = row[1 : row.index(END)]
        rest = iter(text)
        assert row[0] == BEGIN
        assert row[row.index(END) + 1 :] == [PAD] * (12 - 2 - len(words))
        assert all(word in rest for word in words)  # a subsequence: each is looked for further on
        assert bool(words) == bool(text)


def test_word_dropout_drops_none_or_all_but_one_at_the_extremes():
    tokens = padded([[3, 4, 5], [6], []])
    assert torch.equal(drop(tokens, probability=0.0), tokens)
    lengths = (drop(tokens, probability=1.0) > END).sum(dim=1)
    assert lengths.tolist() == [1, 1, 0]


def test_word_dropout_drops_as_many_words_as_asked():
    shortened = drop(padded([[3, 4, 5, 6, 7, 8, 9, 3, 4, 5]] * 2000), probability=0.3)
    assert (shortened > END).float().mean().item() * 1.2 == pytest.approx(0.7, abs=0.01)


def test_the_word_that_is_spared_is_any():
    shortened = drop(padded([[3, 4, 5]] * 3000), probability=1.0)
    counts = np.bincount(shortened[:, 1].numpy())[3:]
    np.testing.assert_allclose(counts / 3000, 1 / 3, atol=0.04)


def test_word_dropout_draws_from_the_generator_alone():
    tokens, state = padded([[3, 4, 5, 6, 7, 8]] * 20), torch.random.get_rng_state()
    assert torch.equal(drop(tokens, probability=0.5), drop(tokens, probability=0.5))
    assert not torch.equal(drop(tokens, probability=0.5), drop(tokens, 1, probability=0.5))
    assert torch.equal(torch.random.get_rng_state(), state)


@settings(max_examples=50, deadline=None)
@given(groups=st.lists(st.integers(0, 5), min_size=1, max_size=20), seed=st.integers(0, 99))
def test_another_caption_is_another_row_of_the_group_if_there_is_one(groups, seed):
    others = P.other_captions(np.array(groups), np.random.default_rng(seed))
    for row, other in enumerate(others):
        assert groups[other] == groups[row]
        assert (other == row) == (groups.count(groups[row]) == 1)


def test_all_other_captions_are_drawn_alike():
    groups = np.array(["b", "a", "b", "b", "a", "b"])
    rng = np.random.default_rng(0)
    drawn = np.stack([P.other_captions(groups, rng) for _ in range(2000)])
    counts = np.bincount(drawn[:, 2], minlength=6) / 2000
    np.testing.assert_allclose(counts, [1 / 3, 0, 0, 1 / 3, 0, 1 / 3], atol=0.04)
    assert set(drawn[:, 1]) == {4}
