import itertools
import re
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.utils.multiclass import type_of_target

from skhash.datasets import make_scenes
from skhash.datasets._scenes import COLOURS, RELATION_WORDS, SHAPE_WORDS

COLOUR_OF = {word: colour for colour, (*_, words) in COLOURS.items() for word in words}
SHAPE_OF = {word: shape for shape, words in SHAPE_WORDS.items() for word in words}


def alternatives(words):
    return "|".join(sorted(words, key=len, reverse=True))


OBJECT = re.compile(
    f"an? (?P<colour>{alternatives(COLOUR_OF)}) (?P<shape>{alternatives(SHAPE_OF)})"
)
SIDES = {
    word: (axis, side)
    for axis, sides in RELATION_WORDS.items()
    for side, words in enumerate(sides)
    for word in words
}


def parse(caption):
    """Return the first object, the second and their axis, as a reader understands the caption."""
    objects = [(COLOUR_OF[m["colour"]], SHAPE_OF[m["shape"]]) for m in OBJECT.finditer(caption)]
    relation = re.search(f"{alternatives(SIDES)}", OBJECT.sub("", caption))[0]
    axis, side = SIDES[relation]
    # The object that is spoken of comes last in these three patterns.
    swapped = caption.startswith(("there is", relation)) or ", with" in caption
    one, other = reversed(objects) if swapped else objects
    return (one, other, axis) if side == 0 else (other, one, axis)


def pixels_of(image, colour, other):
    """Return the coordinates (x, y) of the pixels that show a colour."""
    values = np.asarray(image) / 255
    far = {name: np.linalg.norm(values - COLOURS[name][1], axis=2) for name in (colour, other)}
    return np.argwhere((far[colour] < 0.25) & (far[colour] < far[other]))[:, ::-1]


@pytest.fixture(scope="module")
def scenes():
    return make_scenes(150, n_captions=2, random_state=0)


def test_frame_holds_rgb_pictures_and_words(scenes):
    assert isinstance(scenes.frame, pd.DataFrame)
    assert list(scenes.frame.columns) == ["image", "text"]
    assert all(isinstance(image, Image.Image) for image in scenes.frame["image"])
    assert {(image.mode, image.size) for image in scenes.frame["image"]} == {("RGB", (64, 64))}
    assert all(isinstance(text, str) for text in scenes.frame["text"])


def test_target_is_multilabel_with_two_classes_a_row(scenes):
    assert scenes.target.shape == (300, len(scenes.target_names))
    assert scenes.target.dtype == np.uint8
    assert type_of_target(scenes.target) == "multilabel-indicator"
    assert set(scenes.target.sum(axis=1)) == {2}


def test_target_is_what_the_caption_says(scenes):
    for caption, labels in zip(scenes.frame["text"], scenes.target, strict=True):
        *objects, _ = parse(caption)
        said = {f"{COLOURS[colour][0]} {shape}" for colour, shape in objects}
        assert {scenes.target_names[i] for i in np.flatnonzero(labels)} == said


def test_captions_of_one_picture_agree(scenes):
    stories = [parse(caption) for caption in scenes.frame["text"]]
    assert stories[::2] == stories[1::2]


def test_pictures_show_what_the_caption_says(scenes):
    seen = Counter()
    for image, caption in zip(scenes.frame["image"], scenes.frame["text"], strict=True):
        (first, _), (second, _), axis = parse(caption)
        here, there = pixels_of(image, first, second), pixels_of(image, second, first)
        assert min(len(here), len(there)) > 20, caption
        seen[axis] += 1
        if axis != "depth":
            column = ("horizontal", "vertical").index(axis)
            step = there.mean(axis=0) - here.mean(axis=0)
            assert step[column] > abs(step[1 - column]), caption
    assert min(seen[axis] for axis in RELATION_WORDS) > 60


def test_disc_in_front_is_whole(scenes):
    wholes = []
    for image, caption in zip(scenes.frame["image"], scenes.frame["text"], strict=True):
        (first, shape), (second, _), axis = parse(caption)
        if axis == "depth" and shape == "circle":
            disc = pixels_of(image, first, second)
            box = np.prod(np.ptp(disc, axis=0) + 1)
            wholes.append(len(disc) / box)
    assert len(wholes) > 5
    np.testing.assert_allclose(wholes, np.pi / 4, atol=0.06)


def test_objects_stay_inside_the_picture(scenes):
    for image, caption in zip(scenes.frame["image"], scenes.frame["text"], strict=True):
        (first, _), (second, _), _ = parse(caption)
        for colour, other in [(first, second), (second, first)]:
            places = pixels_of(image, colour, other)
            assert places.min() > 0
            assert places.max() < 63


def test_two_objects_differ_in_shape_and_in_colour(scenes):
    for caption in scenes.frame["text"]:
        (colour, shape), (other_colour, other_shape), _ = parse(caption)
        assert colour != other_colour
        assert shape != other_shape


def test_article_fits_the_word(scenes):
    for article, letter in re.findall(r"\b(an?) (\w)", " ".join(scenes.frame["text"])):
        assert (article == "an") == (letter in "aeiou")


def test_words_of_a_colour_and_patterns_vary(scenes):
    captions = " ".join(scenes.frame["text"])
    assert all(re.search(rf"\b{word}\b", captions) for word in [*COLOUR_OF, *SHAPE_OF, *SIDES])
    patterns = {OBJECT.sub("it", caption) for caption in scenes.frame["text"]}
    assert len(patterns) > 50


def test_probability_of_a_shared_class_is_the_documented_one():
    objects = itertools.product(
        itertools.permutations(SHAPE_WORDS, 2), itertools.permutations(COLOURS, 2)
    )
    labels = Counter(
        frozenset((COLOURS[colour][0], shape) for shape, colour in zip(*pair, strict=True))
        for pair in objects
    )
    n_pairs = labels.total() ** 2
    shared = sum(n * m for a, n in labels.items() for b, m in labels.items() if a & b) / n_pairs
    assert shared == pytest.approx(8 / 15 / 2 + 1 / 15 * 73 / 98)
    drawn = make_scenes(1500, image_size=16, random_state=0)
    target = drawn.target.astype(int)
    assert np.mean(target @ target.T > 0) == pytest.approx(shared, abs=0.015)
    assert f"{shared:.3f}" in drawn.DESCR


def test_rows_of_a_picture_are_adjacent_and_share_it(scenes):
    np.testing.assert_array_equal(scenes.group, np.repeat(np.arange(150), 2))
    images = scenes.frame["image"]
    assert all(images[row] is images[row + 1] for row in range(0, 300, 2))
    assert len({id(image) for image in images}) == 150
    np.testing.assert_array_equal(scenes.target[::2], scenes.target[1::2])


def same(left, right):
    pixels = zip(left.frame["image"], right.frame["image"], strict=True)
    return (
        list(left.frame["text"]) == list(right.frame["text"])
        and np.array_equal(left.target, right.target)
        and all(a.tobytes() == b.tobytes() for a, b in pixels)
    )


def test_same_seed_gives_same_pixels_and_words():
    assert same(make_scenes(5, random_state=3), make_scenes(5, random_state=3))
    assert same(
        make_scenes(5, random_state=3), make_scenes(5, random_state=np.random.RandomState(3))
    )


def test_other_seed_gives_other_scenes():
    one, other = make_scenes(5, random_state=3), make_scenes(5, random_state=4)
    assert set(one.frame["text"]).isdisjoint(other.frame["text"])
    assert not same(one, other)


@given(n_samples=st.integers(1, 8), n_captions=st.integers(1, 3), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_shorter_call_is_a_prefix_of_a_longer_one(n_samples, n_captions, seed):
    options = {"image_size": 16, "n_captions": n_captions, "random_state": seed}
    short, long = make_scenes(n_samples, **options), make_scenes(8, **options)
    n_rows = n_samples * n_captions
    assert len(short.frame) == len(short.target) == len(short.group) == n_rows
    long.frame, long.target = long.frame[:n_rows], long.target[:n_rows]
    assert same(short, long)


def test_image_size_changes_no_word():
    small, large = (make_scenes(9, image_size=size, random_state=0) for size in (16, 40))
    assert list(small.frame["text"]) == list(large.frame["text"])
    assert large.frame["image"][0].size == (40, 40)


def test_more_captions_change_no_pixel_and_no_first_caption():
    one, three = (make_scenes(9, n_captions=n, random_state=0) for n in (1, 3))
    three.frame, three.target = three.frame[::3], three.target[::3]
    assert same(one, three)


def test_global_generator_is_untouched():
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - the global generator is meant
    make_scenes(2, image_size=16, random_state=0)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize(
    ("name", "value"), [("n_samples", 0), ("image_size", 15), ("n_captions", 0)]
)
def test_too_small_raises(name, value):
    with pytest.raises(
        ValueError, match=f"{name} must be at least {max(1, value + 1)}, got {value}"
    ):
        make_scenes(**{"n_samples": 1, name: value})


@pytest.mark.parametrize("name", ["n_samples", "image_size", "n_captions"])
@pytest.mark.parametrize("value", [20.0, "20", None])
def test_no_integer_raises(name, value):
    with pytest.raises(TypeError, match=f"{name} must be an integer"):
        make_scenes(**{"n_samples": 1, name: value})


def test_equal_combinations_show_the_same_things():
    scenes = make_scenes(400, image_size=16, n_captions=2, random_state=0)
    assert scenes.combination.shape == (800,)
    np.testing.assert_array_equal(scenes.combination[::2], scenes.combination[1::2])
    _, first, counts = np.unique(scenes.combination, return_index=True, return_counts=True)
    assert (counts > 2).any()  # some scene is drawn twice
    for row in first:
        same = scenes.combination == scenes.combination[row]
        assert (scenes.target[same] == scenes.target[row]).all()
        for relation in (("left", "right"), ("above", "below", "higher", "beneath")):
            told = [any(word in text for word in relation) for text in scenes.frame["text"][same]]
            assert len(set(told)) == 1
