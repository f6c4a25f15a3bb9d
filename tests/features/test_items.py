import numpy as np
import pandas as pd
import pytest
from PIL import Image

from skhash.features._items import as_images, as_texts, describe_image, distinct, open_image


def picture(mode="RGB", colour=(255, 0, 0)):
    return Image.new(mode, (4, 3), colour)


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_a_missing_row_is_named(missing):
    with pytest.raises(ValueError, match=r"row 1 of X is .* use '' for an empty text"):
        as_texts(["a", missing])
    with pytest.raises(ValueError, match=r"row 1 of X is .* drop the row"):
        as_images([picture(), missing])


def test_an_empty_text_is_a_text():
    assert as_texts(["", "a"]) == ["", "a"]


def test_a_single_item_is_not_a_sequence():
    with pytest.raises(TypeError, match="put a single one into a list"):
        as_texts("a dog")


@pytest.mark.parametrize(
    "image",
    [
        picture("L", 200),
        picture("RGBA", (255, 0, 0, 10)),
        picture("CMYK", (0, 255, 255, 0)),
        picture("P", 0),
        np.zeros((3, 4), dtype=np.uint8),
        np.zeros((3, 4, 1), dtype=np.uint8),
        np.zeros((3, 4, 3), dtype=np.uint8),
    ],
    ids=lambda image: getattr(image, "mode", None) or str(image.shape),
)
def test_pictures_of_any_mode_become_rgb(image):
    opened = open_image(as_images([image])[0])
    assert (opened.mode, opened.size) == ("RGB", (4, 3))


def test_a_truncated_file_cannot_be_opened(tmp_path):
    path = tmp_path / "half.png"
    Image.effect_noise((64, 64), 50).save(path)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match=r"OSError|SyntaxError|truncated"):
        open_image(path)
    assert describe_image(path) == repr(str(path))


def test_items_are_distinct_by_value_or_by_identity(tmp_path):
    one, same = picture(), picture()
    first, inverse = distinct([tmp_path, str(tmp_path), b"x", b"x", one, same, one])
    assert first == [0, 2, 4, 5]
    np.testing.assert_array_equal(inverse, [0, 0, 1, 1, 2, 3, 2])
