"""Positives: second views of images and texts, drawn from a given generator.

Images are batches of pictures, (n, 3, h, w); texts are batches of padded token ids, (n, l).
"""

import math

import numpy as np
import torch
from torch import nn
from torch.nn.functional import grid_sample

# Colours are taken apart into how light they are and where they lie in a plane of hues (the YIQ
# space of television): three matrices keep the lightness, keep the hue, and turn it by a quarter.
_YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
_QUARTER = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
_LIGHT = _YIQ[:1].repeat(3, 1)
_HUE = torch.eye(3) - _LIGHT
_TURNED = torch.linalg.inv(_YIQ) @ _QUARTER @ _YIQ


@torch.no_grad()
def augment(images, kind, generator):
    r"""Draw a view of each picture of a batch.

    ``"mild"`` keeps what captions tell of, left and right and the colours (ours): a square crop of
    3/4 to all of the area, resized back; brightness and contrast changed by up to a fifth; uniform
    noise of standard deviation 0.02.

    ``"simclr"`` follows SimCLR (Chen et al., ICML 2020) with its strengths for small pictures: a
    crop of 8 to 100 % of the area and a ratio of sides of 3/4 to 4/3, resized back; flipped left to
    right with probability 1/2; with probability 0.8 brightness, contrast and saturation changed by
    up to 40 % and hue by up to a tenth of a turn; grey with probability 0.2; blurred with
    probability 1/2 by a Gaussian of 0.1 to 2 pixels, over a tenth of the picture. Departing from
    it, the changes of colour come in this order, and hue turns in the YIQ space, so that all are
    one linear map a picture.

    Parameters
    ----------
    images : tensor of shape (n, 3, h, w), uint8 or float
        Pictures, in [0, 255] if uint8, else in [0, 1].
    kind : {"mild", "simclr"} or None
        How strongly views differ from the pictures; ``None``: not at all.
    generator : torch.Generator
        Source of all draws.

    Returns
    -------
    tensor of shape (n, 3, h, w), float32
        The views, in [0, 1].
    """
    pictures = images.float()
    if images.dtype == torch.uint8:
        pictures /= 255
    if kind is None:
        return pictures
    n = len(pictures)

    def draw(low, high):
        on = generator.device
        drawn = torch.empty(n, device=on).uniform_(low, high, generator=generator)
        return drawn.to(pictures.device)

    if kind == "mild":
        side = draw(0.75, 1).sqrt()
        views = _crop(pictures, side, side, draw(-1, 1), draw(-1, 1))
        same = torch.zeros_like(side)
        views = _recolour(views, draw(0.8, 1.2), draw(0.8, 1.2), 1 + same, same)
        return _add_noise(views, 0.02, generator).clamp_(0, 1)

    area, log_ratio = draw(0.08, 1), draw(-math.log(4 / 3), math.log(4 / 3))
    width = (area * log_ratio.exp()).sqrt().clamp(max=1)
    height = (area / log_ratio.exp()).sqrt().clamp(max=1)
    flip = torch.where(draw(0, 1) < 0.5, -1.0, 1.0)
    views = _crop(pictures, flip * width, height, draw(-1, 1), draw(-1, 1))
    strength = torch.where(draw(0, 1) < 0.8, 1.0, 0.0)
    brightness, contrast, saturation = (1 + strength * draw(-0.4, 0.4) for _ in range(3))
    turn = strength * draw(-0.1, 0.1)
    saturation = torch.where(draw(0, 1) < 0.2, 0.0, saturation)
    views = _recolour(views, brightness, contrast, saturation, turn).clamp_(0, 1)
    return _blur(views, torch.where(draw(0, 1) < 0.5, draw(0.1, 2), 0.0))


def _crop(pictures, width, height, x, y):
    """Cut a box out of each picture and resize it back.

    `width` and `height` are shares of the picture's, (n,); a negative width turns left into right.
    `x` and `y` say where in the space that is left the box lies, from -1 to 1.
    """

    def axis(length, place, size):
        # Middles of the pixels of a picture that reaches from -1 to 1.
        pixels = (torch.arange(length, device=pictures.device) + 0.5) * (2 / length) - 1
        return ((1 - size.abs()) * place)[:, None] + size[:, None] * pixels

    n, _, rows, columns = pictures.shape
    across = axis(columns, x, width)[:, None, :].expand(n, rows, columns)
    down = axis(rows, y, height)[:, :, None].expand(n, rows, columns)
    grid = torch.stack([across, down], dim=-1)
    return grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def _recolour(pictures, brightness, contrast, saturation, turn):
    r"""Change the colours of each picture by a linear map of its own.

    .. math:: x \mapsto c b\,(L + s (\cos\theta\, H + \sin\theta\, Q))\, x + (1 - c)\, b \bar{l}

    where :math:`L`, :math:`H` and :math:`Q` keep the lightness, keep the hue and turn it by a
    quarter, :math:`\theta` is `turn` in radians instead of turns, and :math:`\bar{l}` is the mean
    lightness. All factors have shape (n,).
    """
    light, hue, turned = (m.to(pictures.device) for m in (_LIGHT, _HUE, _TURNED))
    angle = 2 * math.pi * turn
    colours = (
        light
        + (saturation * angle.cos())[:, None, None] * hue
        + (saturation * angle.sin())[:, None, None] * turned
    ) * (brightness * contrast)[:, None, None]
    lightness = pictures.mean(dim=(2, 3)) @ light[0]
    offset = (1 - contrast) * brightness * lightness
    return (colours @ pictures.flatten(2)).view_as(pictures).add_(offset[:, None, None, None])


def _blur(pictures, sigma):
    """Blur each picture by a Gaussian of its own, in pixels, (n,); 0 leaves it as it is."""
    rows, columns = pictures.shape[2:]
    reach = max(1, min(rows, columns) // 20)
    distance = torch.arange(reach + 2, device=pictures.device)
    bell = torch.exp(-0.5 * (distance / sigma.clamp(min=1e-3)[:, None]) ** 2)
    bell[:, -1] = 0

    def weights(length):
        pixels = torch.arange(length, device=pictures.device)
        apart = (pixels[:, None] - pixels).abs().clamp(max=reach + 1)
        near = bell[:, None, apart]
        return near / near.sum(dim=-1, keepdim=True)

    return weights(rows) @ pictures @ weights(columns).mT


def _add_noise(pictures, deviation, generator):
    """Add uniform noise, in place."""
    # Eight bytes a draw: numbers of its own for each pixel would take as long as all the rest.
    n_draws = -(-pictures.numel() // 8)
    words = torch.empty(n_draws, dtype=torch.int64, device=generator.device)
    words.random_(-(2**63), None, generator=generator)
    levels = words.view(torch.int8)[: pictures.numel()].view_as(pictures).to(pictures.device)
    return pictures.add_(levels, alpha=deviation / math.sqrt((256**2 - 1) / 12))


def has_dropout(module):
    """Tell whether a module would drop anything while it is trained.

    Two passes of one text differ by dropout alone (Gao et al., SimCSE, EMNLP 2021): without it they
    are equal and teach nothing.

    Parameters
    ----------
    module : torch.nn.Module
        An encoder.

    Returns
    -------
    bool
        Whether it, or a module inside, drops with a probability above 0.
    """

    def rate(part):
        # Attention keeps its rate as a number.
        kept = part.p if isinstance(part, nn.Dropout) else getattr(part, "dropout", 0)
        return kept if isinstance(kept, (int, float)) else 0

    return any(rate(part) > 0 for part in module.modules())


def word_dropout(tokens, special_ids, pad_id, generator, probability=0.1):
    """Drop tokens at random and close the gaps.

    Special tokens stay, and of the others at least one in each text (word deletion, one of the
    augmentations that SimCSE, EMNLP 2021, compares itself with; as a positive here: inferred).

    Parameters
    ----------
    tokens : tensor of shape (n, l), int
        Token ids, padded on the right.
    special_ids : sequence of int
        Ids that are never dropped: padding, beginning, end, unknown and the like.
    pad_id : int
        Id to pad with.
    generator : torch.Generator
        Source of all draws.
    probability : float, default=0.1
        How likely a token is dropped.

    Returns
    -------
    tensor of shape (n, l), int
        The shortened texts.
    """
    draws = torch.rand(tokens.shape, generator=generator, device=generator.device).to(tokens.device)
    special = torch.isin(tokens, torch.as_tensor([*special_ids, pad_id], device=tokens.device))
    draws = draws.masked_fill(special, -1)
    # A token with the highest draw is dropped only where all are.
    spared = draws.argmax(dim=1, keepdim=True)
    dropped = (draws < probability).logical_and(~special).scatter(1, spared, False)
    shortened = tokens.masked_fill(dropped, pad_id)
    return shortened.gather(1, dropped.int().argsort(dim=1, stable=True))


def other_captions(groups, rng):
    """Draw for each row another row of its group, all others alike; itself where there is none.

    Parameters
    ----------
    groups : ndarray of shape (n_rows,)
        Group id of each row, such as its image.
    rng : numpy.random.Generator
        Source of all draws.

    Returns
    -------
    ndarray of shape (n_rows,), int64
        The rows drawn.
    """
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.argsort(group, kind="stable")
    size = sizes[group[order]]
    start = (np.cumsum(sizes) - sizes)[group[order]]
    step = rng.integers(1, np.maximum(size, 2))
    others = np.empty_like(order)
    others[order] = order[start + (np.arange(len(order)) - start + step) % size]
    return others
