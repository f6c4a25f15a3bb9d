from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from skhash.metrics._display_items import open_image, write


def as_file(picture, **options):
    file = BytesIO()
    picture.save(file, **{"format": "PNG"} | options)
    return file.getvalue()


RED = Image.new("RGB", (3, 2), (255, 0, 0))


@pytest.mark.parametrize(
    "item",
    [
        RED,
        np.asarray(RED),
        as_file(RED),
        as_file(RED, format="GIF"),
        RED.convert("RGBA"),
        RED.quantize(),
    ],
    ids=["PIL", "array", "PNG", "GIF", "RGBA", "palette"],
)
def test_every_kind_of_image_is_opened(item):
    image = open_image(item)
    assert (image.size, image.mode) == ((3, 2), "RGBA")
    assert image.getpixel((2, 1)) == (255, 0, 0, 255)


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 1)])
def test_arrays_may_be_grey(shape):
    assert open_image(np.full(shape, 7, dtype=np.uint8)).getpixel((0, 0)) == (7, 7, 7, 255)


def test_a_path_is_opened_and_turned_as_its_camera_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # lay on its side
    path = tmp_path / "photo.jpg"
    RED.save(path, exif=exif)
    assert open_image(path).size == (2, 3)


def test_large_images_are_made_small_and_left_as_they_were():
    large = Image.new("RGBA", (1000, 500))
    assert open_image(large).size == (400, 200)
    assert large.size == (1000, 500)


@pytest.mark.parametrize("item", [None, 3.0, ["a"]])
def test_what_is_no_item_is_told(item):
    with pytest.raises(TypeError, match=f"an item must be a text .* got {type(item).__name__}"):
        open_image(item)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (b"no image", "bytes: cannot identify image file"),
        (as_file(RED)[:40], "bytes: "),
        (np.zeros((2, 3), dtype=np.float32), "ndarray: 3 x 2 pixels of mode F"),
        (np.zeros((2, 3), dtype=np.uint16), "ndarray: 3 x 2 pixels of mode I;16"),
        (np.zeros((0, 3), dtype=np.uint8), "ndarray: 3 x 0 pixels"),
        (np.zeros((2, 3, 7), dtype=np.uint8), "ndarray: Cannot handle this data type"),
    ],
    ids=["bytes", "truncated", "float", "16 bits", "empty", "channels"],
)
def test_an_unreadable_image_is_told(item, message):
    with pytest.raises(ValueError, match=rf"cannot read an image \({message}.*pixels of uint8"):
        open_image(item)


@pytest.fixture
def cell(pyplot):
    return pyplot.subplots(figsize=(2, 1.5))[1]


@pytest.mark.parametrize(
    "text", ["short", "several words " * 30, "W" * 400, "$x", "two\nlines", ""]
)
def test_a_text_stays_inside_its_cell(cell, text):
    write(cell, text)
    [label] = cell.texts
    room, size = cell.get_window_extent(), label.get_window_extent()
    assert size.width <= room.width
    assert size.height <= room.height


def test_a_text_that_fits_is_written_whole_and_as_it_is(cell):
    write(cell, "costs $5 or $6_a^2")
    assert " ".join(cell.texts[0].get_text().split()) == "costs $5 or $6_a^2"
    assert not cell.texts[0].get_parse_math()


def test_a_text_that_is_too_long_says_so(cell):
    write(cell, "several words " * 30)
    assert cell.texts[0].get_text().endswith("…")
