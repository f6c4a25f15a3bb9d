"""Drawn pictures of two coloured shapes, with English captions."""

import numpy as np
from sklearn.utils import Bunch

from .._blocks import make_table
from .._inputs.checks import check_integer
from .._inputs.seed import own_generator

# Each colour: its family, its red, green and blue in [0, 1], and the words for it.
COLOURS = {
    "red": ("warm", (0.84, 0.12, 0.16), ("red", "crimson", "scarlet")),
    "orange": ("warm", (0.97, 0.52, 0.08), ("orange", "tangerine")),
    "yellow": ("warm", (0.97, 0.83, 0.12), ("yellow", "golden")),
    "pink": ("warm", (0.95, 0.46, 0.68), ("pink", "rose")),
    "green": ("cool", (0.20, 0.62, 0.24), ("green", "emerald")),
    "teal": ("cool", (0.12, 0.72, 0.74), ("teal", "turquoise")),
    "blue": ("cool", (0.14, 0.34, 0.82), ("blue", "azure", "cobalt")),
    "purple": ("cool", (0.50, 0.22, 0.68), ("purple", "violet")),
}

SHAPE_WORDS = {
    "circle": ("circle", "disc"),
    "square": ("square", "box"),
    "triangle": ("triangle", "wedge"),
    "star": ("star", "five-pointed star"),
    "cross": ("cross", "plus sign"),
    "ring": ("ring", "hoop"),
}

# How the first object lies to the second, then how the second lies to the first.
RELATION_WORDS = {
    "horizontal": (("to the left of", "left of"), ("to the right of", "right of")),
    "vertical": (("above", "higher than"), ("below", "beneath")),
    "depth": (("in front of", "partly hiding"), ("behind", "partly hidden by")),
}

TEMPLATES = (
    "{one} {relation} {other}",
    "the picture shows {one} {relation} {other}",
    "there is {other}; {relation} it stands {one}",
    "{relation} {other} one can see {one}",
    "{one} and {other}, the former {relation} the latter",
    "{other}, with {one} {relation} it",
)

FAMILIES = ("warm", "cool")
CLASSES = [f"{family} {shape}" for family in FAMILIES for shape in SHAPE_WORDS]

MARGIN = 0.03  # between an object and the edge, as a fraction of the picture's side
SUPERSAMPLING = 4

DESCR = """\
Scenes: drawn pictures of two coloured shapes, with English captions
====================================================================

Each picture shows two objects that differ in shape and in colour, one beside, above or in front of
the other, on a pale background, plain or graded. Sizes, places, slight rotations, tints and a
little noise vary. A caption names both objects and their relation, in one of six sentence patterns,
from either object's side; a colour or a shape has two or three names, drawn at random.

:Shapes: circle, square, triangle, star, cross, ring
:Warm colours: red, orange, yellow, pink
:Cool colours: green, teal, blue, purple
:Classes: the 12 pairs of a colour family and a shape, "warm circle" to "cool ring"; a picture has
    exactly two. Colour and shape must be seen together: the words "red", "blue", "circle" and
    "square" do not tell a warm circle from a cool one.

Two pictures drawn at random share a class with probability 0.316, which is about what codes that
say nothing score as mean average precision. Classes of shapes alone would give 0.60, of shapes and
colours together 0.79, and of the 48 pairs of a colour and a shape 0.08.
"""


def make_scenes(n_samples=1000, *, image_size=64, n_captions=1, random_state=None):
    r"""Draw pictures of two coloured shapes and write English captions for them.

    A small data set of images and texts that needs no download. Captions are paraphrased, so that
    no single word determines a class.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of pictures.
    image_size : int, default=64
        Side length of the square pictures in pixels, at least 16.
    n_captions : int, default=1
        Number of captions of each picture. A row has one caption, so the result has ``n_rows =
        n_samples * n_captions`` rows; the rows of a picture are adjacent and share one picture
        object.
    random_state : int, RandomState instance, Generator or None, default=None
        Seed. With an int, each call gives the same pixels and words, and a smaller `n_samples`
        gives the first of them. The scenes do not depend on `image_size` or `n_captions`.

    Returns
    -------
    :class:`~sklearn.utils.Bunch`
        With the attributes

        frame : pandas.DataFrame of shape (n_rows, 2)
            The column ``image`` contains RGB pictures (:class:`PIL.Image.Image`), and the column
            ``text`` their captions.
        target : ndarray of shape (n_rows, 12), uint8
            1 for the two classes of each picture, 0 elsewhere.
        target_names : list of str of length 12
            The classes, which combine a colour family and a shape: ``"warm circle"``, ..., ``"cool
            ring"``.
        group : ndarray of shape (n_rows,), int64
            Number of the picture. Rows of one group must not be split between training and test.
        combination : ndarray of shape (n_rows,), int64
            Number of the combination of shapes, colours and their relation that the picture shows,
            out of 5,040. Hold out combinations to test on scenes that do not occur in training.
        DESCR : str
            Description of the data set.

    Raises
    ------
    TypeError
        If one of the three sizes is not an integer.
    ValueError
        If one of them is too small.

    Notes
    -----
    Two pictures drawn at random share a class with probability

    .. math::

        \frac{8}{15} \cdot \frac{1}{2} + \frac{1}{15} \cdot \frac{73}{98} \approx 0.316:

    they have one shape in common with probability 8/15, and both with probability 1/15. The other
    factors are the probabilities that a common shape has colours of the same family. This is about
    the mean average precision of random codes.

    Examples
    --------
    >>> from skhash.datasets import make_scenes
    >>> scenes = make_scenes(3, n_captions=2, random_state=0)
    >>> scenes.frame.shape, scenes.target.shape
    ((6, 2), (6, 12))
    >>> scenes.frame["image"][0].size
    (64, 64)
    >>> scenes.group
    array([0, 0, 1, 1, 2, 2])
    """
    n_samples = check_integer(n_samples, "n_samples")
    image_size = check_integer(image_size, "image_size", 16)
    n_captions = check_integer(n_captions, "n_captions")
    seeds = own_generator(random_state).randint(2**31, size=n_samples, dtype=np.int64)
    images, texts = [], []
    target = np.zeros((n_samples, len(CLASSES)), dtype=np.uint8)
    combination = np.empty(n_samples, dtype=np.int64)
    for row, seed in enumerate(seeds):
        rng = np.random.default_rng(seed)
        # Pixels draw from a stream of their own: their number must not change the captions.
        pixel_rng = rng.spawn(1)[0]
        objects, axis = _draw_scene(rng)
        images += [_render(objects, image_size, pixel_rng)] * n_captions
        texts += [_caption(objects, axis, rng) for _ in range(n_captions)]
        target[row, [CLASSES.index(f"{COLOURS[o.colour][0]} {o.shape}") for o in objects]] = 1
        combination[row] = _number(objects, axis)
    return Bunch(
        frame=make_table(image=images, text=texts),
        target=np.repeat(target, n_captions, axis=0),
        target_names=list(CLASSES),
        group=np.repeat(np.arange(n_samples), n_captions),
        combination=np.repeat(combination, n_captions),
        DESCR=DESCR,
    )


def _draw_scene(rng):
    """Draw two objects, unlike in shape and colour, and the axis along which they are related."""
    axis = _pick(rng, tuple(RELATION_WORDS))
    shapes = rng.permutation(list(SHAPE_WORDS))[:2]
    colours = rng.permutation(list(COLOURS))[:2]
    radii = rng.uniform(0.14, 0.22, size=2)
    centres = _overlapping(radii, rng) if axis == "depth" else _side_by_side(radii, rng)
    if axis == "vertical":
        centres = centres[:, ::-1]
    objects = [
        Bunch(
            shape=shape, colour=colour, centre=centre, radius=radius, angle=rng.uniform(-0.3, 0.3)
        )
        for shape, colour, centre, radius in zip(shapes, colours, centres, radii, strict=True)
    ]
    return objects, axis


def _number(objects, axis):
    """Return a number for what a scene shows."""
    kinds = SHAPE_WORDS, COLOURS, SHAPE_WORDS, COLOURS, RELATION_WORDS
    names = [name for thing in objects for name in (thing.shape, thing.colour)]
    places = [list(kind).index(name) for kind, name in zip(kinds, [*names, axis], strict=True)]
    return np.ravel_multi_index(places, [len(kind) for kind in kinds])


def _side_by_side(radii, rng):
    """Place two discs in the unit square, the first before the second along the first axis."""
    low, high = radii + MARGIN, 1 - radii - MARGIN
    slack = 1 - 2 * MARGIN - 2 * radii.sum()
    before, between = slack * np.diff(np.sort(rng.uniform(size=2)), prepend=0)
    first = low[0] + before
    distance = radii.sum() + between
    across = rng.uniform(low[0], high[0])
    # Less than half the distance, so that only one axis decides how the objects lie.
    shifted = np.clip(across + distance * rng.uniform(-0.4, 0.4), low[1], high[1])
    return np.array([[first, across], [first + distance, shifted]])


def _overlapping(radii, rng):
    """Place two discs in the unit square so that the first hides a part of the second."""
    turn = rng.uniform(0, 2 * np.pi)
    step = radii.sum() * rng.uniform(0.6, 0.75) * np.array([np.cos(turn), np.sin(turn)])
    centres = np.array([-step / 2, step / 2])
    low = (radii[:, None] + MARGIN - centres).max(axis=0)
    high = (1 - radii[:, None] - MARGIN - centres).min(axis=0)
    return centres + rng.uniform(low, high)


def _caption(objects, axis, rng):
    side = rng.integers(2)
    return _pick(rng, TEMPLATES).format(
        one=_noun_phrase(objects[side], rng),
        other=_noun_phrase(objects[1 - side], rng),
        relation=_pick(rng, RELATION_WORDS[axis][side]),
    )


def _noun_phrase(thing, rng):
    colour = _pick(rng, COLOURS[thing.colour][2])
    article = "an" if colour[0] in "aeiou" else "a"
    return f"{article} {colour} {_pick(rng, SHAPE_WORDS[thing.shape])}"


def _pick(rng, options):
    return options[rng.integers(len(options))]


def _outline(shape):
    """Return the corners of a shape in the unit disc, an ndarray of shape (n_corners, 2)."""
    if shape == "cross":
        arm, width = 0.95, 0.32
        quarter = np.array([width, -arm, width, -width, arm, -width]).reshape(3, 2)
        turns = [quarter, quarter[:, ::-1] * [-1, 1], -quarter, quarter[:, ::-1] * [1, -1]]
        return np.concatenate(turns)
    if shape == "star":
        return _polygon(10) * np.where(np.arange(10) % 2, 0.42, 1.0)[:, None]
    if shape == "triangle":
        return _polygon(3)
    if shape == "square":
        return _polygon(4, turn=np.pi / 4)
    circle = 0.88 * _polygon(65)  # closed, so that a ring is one path: out, across, back inside
    circle[-1] = circle[0]
    return np.concatenate([circle, 0.55 * circle[::-1]]) if shape == "ring" else circle


def _polygon(n_corners, turn=0.0):
    angles = turn + 2 * np.pi * np.arange(n_corners) / n_corners
    return np.stack([np.sin(angles), -np.cos(angles)], axis=1)


OUTLINES = {shape: _outline(shape) for shape in SHAPE_WORDS}


def _render(objects, image_size, rng):
    """Paint a scene: background, then the second object and the first, then noise."""
    from PIL import Image, ImageFilter

    tone = rng.uniform(0.82, 0.96, size=3)
    slope = rng.integers(2) * rng.uniform(-0.1, 0.1, size=(2, 3))
    ramp = np.linspace(-0.5, 0.5, image_size)[:, None]
    pixels = tone + (ramp * slope[0])[:, None] + (ramp * slope[1])[None, :]
    pixels = pixels.astype(np.float32)  # half the time of float64
    for thing in reversed(objects):
        shadow = _mask(thing, image_size, shift=(0.012, 0.022))
        shadow = shadow.filter(ImageFilter.GaussianBlur(0.02 * image_size))
        pixels *= 1 - 0.28 * _alpha(shadow)
        tint = np.array(COLOURS[thing.colour][1]) + rng.normal(scale=0.025, size=3)
        lit = (tint * (1 - 0.2 * ramp)).astype(np.float32)  # from above
        pixels += _alpha(_mask(thing, image_size)) * (lit[:, None] - pixels)
    pixels += 0.015 * rng.standard_normal(pixels.shape, dtype=np.float32)
    return Image.fromarray((255 * pixels.clip(0, 1)).round().astype(np.uint8))


def _mask(thing, image_size, shift=(0.0, 0.0)):
    """Draw the area of an object, antialiased: large, then reduced."""
    from PIL import Image, ImageDraw

    cos, sin = np.cos(thing.angle), np.sin(thing.angle)
    turned = OUTLINES[thing.shape] @ np.array([[cos, sin], [-sin, cos]])
    corners = (thing.centre + shift + thing.radius * turned) * image_size * SUPERSAMPLING
    area = Image.new("L", (image_size * SUPERSAMPLING,) * 2)
    ImageDraw.Draw(area).polygon(corners.ravel().tolist(), fill=255)
    return area.reduce(SUPERSAMPLING)


def _alpha(mask):
    return np.asarray(mask, dtype=np.float32)[:, :, None] / 255
