import os
import socket
import struct
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO, StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageOps

from skhash.features._items import as_images, as_texts, describe_image, distinct, open_image


def picture(mode="RGB", colour=(255, 0, 0)):
    return Image.new(mode, (4, 3), colour)


def encoded(picture, kind, **options):
    file = BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def exif_of(*entries):
    """EXIF with these entries (tag, type, count, value)."""
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + packed + bytes(4)


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


@pytest.mark.parametrize(
    ("mode", "kind", "options"),
    [
        ("1", "PNG", {}),
        ("LA", "PNG", {}),
        ("P", "PNG", {"transparency": 0}),
        ("P", "PNG", {"transparency": bytes(range(256))}),
        ("P", "GIF", {"transparency": 0}),
        ("L", "PNG", {"transparency": 7}),
        ("RGBA", "WEBP", {"lossless": True, "exact": True}),
        ("RGB", "JPEG", {"progressive": True}),
        ("CMYK", "JPEG", {}),
        ("YCbCr", "JPEG", {}),
    ],
)
def test_files_of_any_mode_become_rgb(mode, kind, options):
    stripes = np.repeat(np.uint8([0, 255]), 8)
    striped = Image.fromarray(np.tile(stripes[:, np.newaxis, np.newaxis], (1, 16, 3)))
    content = encoded(striped.convert(mode), kind, **options)
    opened = open_image(content)
    assert (opened.mode, opened.size) == ("RGB", (16, 16))
    np.testing.assert_allclose(np.asarray(opened), np.asarray(striped), atol=3)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", "MPO"])
def test_of_several_frames_the_first_is_read(kind):
    first, second = picture(colour=(255, 255, 255)), picture(colour=(0, 0, 0))
    content = encoded(first, kind, save_all=True, append_images=[second])
    with Image.open(BytesIO(content)) as opened:
        assert opened.n_frames == 2
        opened.seek(1)
        assert open_image(opened).getextrema() == ((0, 0),) * 3  # a picture shows what it shows
    assert open_image(content).getextrema() == ((255, 255),) * 3


def test_links_to_files_are_followed(tmp_path):
    picture().save(tmp_path / "picture.png")
    (tmp_path / "link.png").symlink_to("picture.png")
    assert open_image(tmp_path / "link.png").getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("folder", lambda path: path.mkdir()),
        ("named pipe", os.mkfifo),
        ("device", lambda path: path.symlink_to("/dev/zero")),
        ("socket", None),
    ],
)
def test_what_is_no_regular_file_is_not_opened(kind, make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the address of a socket must be short
    path = Path("picture.png")
    with socket.socket(socket.AF_UNIX) as listening:
        make(path) if make else listening.bind(str(path))
        with pytest.raises(ValueError, match=rf"^OSError: it is a {kind}, not a file$"):
            open_image(path)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", r"FileNotFoundError: .*No such file or directory: ''"),
        ("a\0b.png", r"ValueError: embedded null byte"),
        ("a" * 5000, r"OSError: .*File name too long"),
        ("\ud800.png", r"UnicodeEncodeError: .*surrogates not allowed"),
        ("loop.png", r"OSError: .*Too many levels of symbolic links"),
        ("dangling.png", r"FileNotFoundError: .*'dangling.png'"),
    ],
)
def test_an_impossible_path_cannot_be_read(path, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("loop.png").symlink_to("loop.png")
    Path("dangling.png").symlink_to("nowhere.png")
    with pytest.raises(ValueError, match=message):
        open_image(as_images([path])[0])


@pytest.mark.parametrize("source", [bytes, BytesIO])
def test_junk_is_told_without_an_address_in_memory(source):
    with pytest.raises(ValueError, match=r"Error: cannot identify the file as a picture$"):
        open_image(source(b"junk"))


def test_a_missing_decoder_is_told(monkeypatch):
    from PIL import WebPImagePlugin

    monkeypatch.setattr(WebPImagePlugin, "SUPPORTED", False)
    message = "image file could not be identified because WEBP"
    with (
        pytest.warns(UserWarning, match=message),
        pytest.raises(ValueError, match=r"as a picture$"),
    ):
        open_image(b"RIFF\x24\0\0\0WEBPVP8 " + bytes(20))


def test_a_text_file_is_not_taken_for_a_path(tmp_path):
    picture().save(tmp_path / "picture.png")
    with pytest.raises(ValueError, match="TypeError: a bytes-like object is required, not 'str'"):
        open_image(StringIO(str(tmp_path / "picture.png")))


def test_a_stream_that_cannot_go_back_cannot_be_read():
    reading, writing = os.pipe()
    os.close(writing)
    with open(reading, "rb") as stream, pytest.raises(ValueError, match="not seekable"):
        open_image(stream)


def test_a_picture_without_pixels_cannot_be_read():
    with pytest.raises(ValueError, match="ValueError: it has no pixels"):
        open_image(Image.new("RGB", (0, 5)))


ODD = pytest.mark.parametrize(
    "odd",
    [
        (0x010F, 2, 100, 5000),  # a text that lies behind the end
        (0x011A, 5, 1, 5000),
        (0x0112, 3, 2, 0x00010001),  # two orientations
    ],
)


@ODD
def test_odd_metadata_change_no_pixel(odd):
    with pytest.warns(UserWarning, match=r"EXIF|Metadata|Tag data|Truncated"):
        opened = open_image(encoded(picture(), "JPEG", exif=exif_of(odd)), exif_orientation=True)
    np.testing.assert_array_equal(opened, open_image(encoded(picture(), "JPEG")))


@ODD
def test_a_warning_that_a_filter_makes_an_error_is_named(odd):
    content = encoded(picture(), "JPEG", exif=exif_of(odd))
    with pytest.raises(ValueError, match=r"^UserWarning: .*(EXIF|Metadata|Tag data|Truncated)"):
        open_image(content, exif_orientation=True)


def test_filters_of_warnings_are_left_alone_by_eight_threads():
    contents = [encoded(picture(), "JPEG", exif=exif_of((0x010F, 2, 100, 5000))), b"junk"]

    def read(row):
        with suppress(ValueError):
            open_image(contents[row % 2], exif_orientation=True)

    before, shown = list(warnings.filters), warnings.showwarning
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(read, range(2000)))
    assert (warnings.filters, warnings.showwarning) == (before, shown)


def test_a_palette_with_transparency_is_read_without_a_warning():
    noise = np.random.default_rng(0).integers(0, 256, (9, 9, 4), dtype=np.uint8)
    palette = Image.fromarray(noise).quantize()
    opened = open_image(encoded(palette, "PNG"))
    np.testing.assert_array_equal(opened, np.asarray(palette.convert("RGBA"))[:, :, :3])


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_picture_is_refused_beyond_twice_the_limit_of_pillow(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert open_image(encoded(Image.new("L", (10, 20)), "PNG")).size == (10, 20)
    with pytest.raises(ValueError, match="DecompressionBombError"):
        open_image(encoded(Image.new("L", (10, 21)), "PNG"))


@pytest.mark.parametrize("orientation", range(10))
def test_every_orientation_is_turned_upright(orientation):
    noise = np.random.default_rng(0).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    content = encoded(Image.fromarray(noise), "PNG", exif=exif_of((0x0112, 3, 1, orientation)))
    with Image.open(BytesIO(content)) as opened:
        expected = np.asarray(ImageOps.exif_transpose(opened))
    np.testing.assert_array_equal(open_image(content, exif_orientation=True), expected)


@pytest.mark.parametrize("odd", [(0x0100, 9, 1, 0xFFFFFFFF), (0x011A, 2, 4, 0x41414141)])
def test_a_picture_is_turned_though_its_metadata_cannot_be_written(odd):
    content = encoded(picture(), "JPEG", exif=exif_of(odd, (0x0112, 3, 1, 6)))
    assert open_image(content, exif_orientation=True).size == (3, 4)


def is_open(path):
    """Say whether this process holds a file open; other threads may open others."""
    known = os.stat(path)
    for descriptor in map(int, os.listdir("/dev/fd")):
        with suppress(OSError):  # that of the listing itself is closed
            if os.path.samestat(os.fstat(descriptor), known):
                return True
    return False


def test_no_file_stays_open(tmp_path):
    animation = {"save_all": True, "append_images": [picture(colour=(0, 0, 0))]}
    contents = {
        "picture.png": encoded(picture(), "PNG"),
        "picture.jpg": encoded(picture(), "JPEG"),
        "animation.gif": encoded(picture(), "GIF", **animation),
        "animation.webp": encoded(picture(), "WEBP", **animation),
        "pages.tiff": encoded(picture(), "TIFF", **animation),
        "two.mpo": encoded(picture(), "MPO", **animation),
        "truncated.png": encoded(Image.effect_noise((64, 64), 50), "PNG")[:300],
        "junk.jpg": b"junk",
    }
    for name, content in contents.items():
        path = tmp_path / name
        path.write_bytes(content)
        with path.open("rb"):
            assert is_open(path)
        try:
            opened = open_image(path)
        except ValueError:
            opened = None
        assert (opened is None) == (name in {"truncated.png", "junk.jpg"})
        assert not is_open(path)


@pytest.mark.parametrize("content", [encoded(picture(), "GIF"), b"junk"])
def test_a_file_that_came_open_stays_open(content, tmp_path):
    (tmp_path / "file").write_bytes(content)
    with (tmp_path / "file").open("rb") as on_disk:
        for file in (on_disk, BytesIO(content)):
            try:
                open_image(file)
            except ValueError:
                assert content == b"junk"
            assert not file.closed


@pytest.mark.parametrize(
    "rows",
    [
        lambda paths: np.array(paths),
        lambda paths: np.array(paths, dtype=object),
        lambda paths: np.array([Path(path) for path in paths], dtype=object)[:, np.newaxis],
        lambda paths: pd.Series(paths, dtype="string", index=[7, 3]),
        lambda paths: pd.Series([Path(path) for path in paths]),
        lambda paths: tuple(map(Path, paths)),
    ],
    ids=["numpy.str_", "object", "column", "string", "pathlib", "tuple"],
)
def test_paths_may_come_in_any_sequence(rows, tmp_path):
    paths = [str(tmp_path / f"{name}.png") for name in "ab"]
    for path in paths:
        picture().save(path)
    images = as_images(rows(paths))
    assert [describe_image(image) for image in images] == [repr(path) for path in paths]
    assert [open_image(image).size for image in images] == [(4, 3), (4, 3)]


def test_a_text_that_no_encoder_reads_is_named():
    with pytest.raises(
        ValueError, match=r"row 1 of X contains a lone surrogate, .* at 2: '\\ud83d x'"
    ):
        as_texts(["a", "a \ud83d x"])


def test_messages_about_huge_items_are_short():
    with pytest.raises(ValueError, match="File name too long") as caught:
        open_image("a" * 8_000_000)
    assert len(str(caught.value)) < 400
    assert len(describe_image("a" * 8_000_000)) <= 300
