"""Pictures through the DataLoader: kinds of files, worker processes, broken ones."""

import gc
import multiprocessing
import os
import pickle
import struct
import warnings
import weakref
import zlib
from collections.abc import Sequence
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone

from skhash.features import CLIPFeaturizer
from skhash.features._clip.images import _Pictures, picture_batches


@pytest.fixture
def images(tiny, weights):
    return CLIPFeaturizer(tiny, pretrained=weights, device="cpu")


def encoded(picture, suffix, **options):
    file = BytesIO()
    picture.save(file, suffix, **options)
    return file.getvalue()


def png_of_size(width, height):
    """Bytes of a file of a hundred bytes that says it holds a picture of this size."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"")
    chunks = [header, data, b"IEND"]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in chunks
    )


def broken_files(folder, picture):
    """Write files that are broken in ten ways."""
    large = picture.resize((64, 64))
    jpeg, png = encoded(large, "JPEG"), encoded(large, "PNG")
    contents = {
        "truncated.jpg": jpeg[:700],
        "truncated.png": png[: len(png) // 2],
        "empty.jpg": b"",
        "text.jpg": b"this is a text",
        "page.jpg": b"<!DOCTYPE html><html></html>",
        "bomb.png": png_of_size(60_000, 60_000),
        "flipped.png": png[:60] + bytes(100) + png[160:],
        "header.png": png[:8] + bytes(20) + png[28:],
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder / "folder.jpg").mkdir()
    return [*(folder / name for name in contents), folder / "folder.jpg", folder / "missing.jpg"]


@pytest.mark.parametrize("n_workers", [0, 2])
def test_ten_ways_of_being_broken_are_found_and_named(images, pictures, paths, tmp_path, n_workers):
    broken = broken_files(tmp_path, pictures[0])
    items = [broken[row // 7] if row % 7 == 3 else paths[row % 5] for row in range(70)]
    images.set_params(on_error="nan", n_workers=n_workers, batch_size=8)
    with pytest.warns(UserWarning, match="images of 10 of 70 rows"):
        vectors = images.transform(items)
    failed = [row for row in range(70) if row % 7 == 3]
    assert vectors.shape == (70, 8)
    np.testing.assert_array_equal(np.isnan(vectors).all(axis=1).nonzero()[0], failed)
    assert images.errors_["row"].tolist() == failed
    assert images.errors_["item"].tolist() == [repr(str(path)) for path in broken]
    assert images.errors_["message"].str.contains("Error: ").all()
    good = [row for row in range(70) if row % 7 != 3]
    expected = images.transform(paths)[[row % 5 for row in good]]
    np.testing.assert_allclose(vectors[good], expected, atol=1e-5)


def test_every_row_of_a_broken_image_is_listed(images, paths):
    images.set_params(on_error="nan")
    with pytest.warns(UserWarning, match="images of 2 of 3 rows"):
        images.transform([b"junk", paths[0], b"junk"])
    assert images.errors_["row"].tolist() == [0, 2]
    assert list(images.errors_.columns) == ["row", "item", "message"]


def test_the_list_of_errors_is_of_the_last_call_and_of_this_mode(images, paths):
    images.transform(paths)
    assert not hasattr(images, "errors_")
    images.set_params(on_error="nan")
    with pytest.warns(UserWarning, match="became NaN"):
        images.transform([b"junk"])
    assert len(images.errors_) == 1
    images.transform(paths)
    assert len(images.errors_) == 0
    assert not hasattr(clone(images), "errors_")


def test_an_error_in_a_worker_names_the_row_and_the_path(images, paths, tmp_path):
    junk = tmp_path / "junk.jpg"
    junk.write_bytes(b"junk")
    images.set_params(n_workers=2, batch_size=1)
    before = set(multiprocessing.active_children())  # joblib keeps those of other tests
    with pytest.raises(ValueError, match=r"cannot be read, row 3 \('.*junk.jpg'\): Unidentified"):
        images.transform([*paths[:3], junk, *paths[3:]])
    gc.collect()
    assert set(multiprocessing.active_children()) <= before


@pytest.mark.parametrize(("n_workers", "batch_size"), [(1, 2), (2, 1), (2, 100)])
def test_workers_change_nothing(images, pictures, paths, n_workers, batch_size):
    items = [*paths, *pictures, paths[0].read_bytes(), np.asarray(pictures[1])]
    expected = images.transform(items)
    parallel = clone(images).set_params(n_workers=n_workers, batch_size=batch_size)
    np.testing.assert_allclose(parallel.transform(items), expected, atol=1e-5)


@pytest.mark.parametrize("n_workers", [0, 1])
def test_the_global_generator_of_torch_stays_as_it_is(images, paths, n_workers):
    import torch

    state = torch.get_rng_state()
    images.set_params(n_workers=n_workers).transform(paths)
    assert torch.equal(torch.get_rng_state(), state)


def test_no_more_than_one_batch_of_pictures_is_in_memory(pictures):
    import weakref

    import torch

    alive = weakref.WeakSet()

    def preprocess(picture):
        tensor = torch.zeros(3, 4, 4)
        alive.add(tensor)
        return tensor

    peak = 0
    for _ in picture_batches(
        pictures * 20,
        preprocess,
        exif_orientation=False,
        batch_size=4,
        n_workers=0,
        pin_memory=False,
    ):
        gc.collect()
        peak = max(peak, len(alive))
    assert peak <= 4


def test_open_files_are_read_from_their_start_each_time(images, paths):
    expected = images.transform(paths)
    opened = [path.open("rb") for path in paths]
    opened[0].read(10)
    try:
        for _ in range(2):
            np.testing.assert_array_equal(images.transform(opened), expected)
    finally:
        for file in opened:
            file.close()
    memory = [BytesIO(path.read_bytes()) for path in paths]
    np.testing.assert_array_equal(images.transform(memory), expected)


def test_a_closed_file_cannot_be_read(images, paths):
    with paths[0].open("rb") as file:
        pass
    with pytest.raises(ValueError, match=r"row 0 \(BufferedReader\): ValueError: .*closed file"):
        images.transform([file])


def test_open_files_are_refused_by_workers(images, paths):
    with pytest.raises(ValueError, match="row 1 of X is an open file, which other processes"):
        images.set_params(n_workers=1).transform([paths[0], BytesIO(paths[1].read_bytes())])


@pytest.mark.parametrize(
    "url", ["http://a.org/b.png", "s3://bucket/b.png", "data:image/png;base64,iVBORw0KGgo="]
)
def test_urls_are_refused(images, url):
    with pytest.raises(ValueError, match=r"row 0 of X is the URL .*img2dataset"):
        images.transform([url])


def test_a_long_data_url_is_not_shown_whole(images):
    with pytest.raises(ValueError, match="row 0 of X is the URL") as caught:
        images.transform(["data:image/png;base64," + "A" * 10_000])
    assert len(str(caught.value)) < 300


def test_arrays_with_an_alpha_channel_are_read_as_such_pictures(images, pictures):
    rgba = pictures[0].convert("RGBA")
    rgba.putalpha(100)
    vectors = images.transform([np.asarray(rgba), rgba, pictures[0]])
    np.testing.assert_allclose(vectors, vectors[[2, 2, 2]], atol=1e-6)


def test_an_animation_is_its_first_frame(images, pictures):
    first, second = (picture.convert("P") for picture in pictures[:2])
    content = encoded(first, "GIF", save_all=True, append_images=[second], duration=100)
    with Image.open(BytesIO(content)) as opened:
        assert opened.n_frames == 2
        expected = images.transform([opened.convert("RGB")])
    np.testing.assert_array_equal(images.transform([content]), expected)


@pytest.mark.parametrize("suffix", ["PNG", "TIFF", "PPM"])
def test_grey_of_16_bits_is_scaled_and_not_clipped(images, suffix):
    grey = np.random.default_rng(0).integers(0, 256, (9, 7), dtype=np.uint8)
    content = encoded(Image.fromarray(grey.astype(np.uint16) * 257), suffix)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vectors = images.transform([content])
    np.testing.assert_allclose(vectors, images.transform([grey]), atol=1e-6)


def test_a_cmyk_photograph_is_converted(images, pictures):
    content = encoded(pictures[0].convert("CMYK"), "JPEG", quality=100)
    with Image.open(BytesIO(content)) as opened:
        expected = images.transform([opened.convert("RGB")])
    np.testing.assert_array_equal(images.transform([content]), expected)


def test_a_file_with_the_wrong_suffix_is_read(images, pictures, tmp_path):
    (tmp_path / "png.jpg").write_bytes(encoded(pictures[0], "PNG"))
    vectors = images.transform([tmp_path / "png.jpg", pictures[0]])
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-6)


def test_the_orientation_in_exif_is_followed_on_demand(images, pictures, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    pictures[0].save(tmp_path / "turned.png", exif=exif)
    upright = pictures[0].transpose(Image.Transpose.ROTATE_270)
    images.set_params(exif_orientation=True)
    vectors = images.transform([tmp_path / "turned.png", upright])
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-6)


def test_a_bomb_is_refused_with_its_row_and_path(images, tmp_path):
    path = Path(tmp_path / "bomb.png")
    path.write_bytes(png_of_size(60_000, 60_000))
    with pytest.raises(ValueError, match=r"row 0 \('.*bomb.png'\): DecompressionBombError"):
        images.transform([path])


def test_a_bar_shows_the_rate_and_the_time_left(images, pictures, capsys):
    images.set_params(batch_size=2).transform(pictures)
    assert capsys.readouterr().err == ""
    images.set_params(verbose=1).transform(pictures)
    shown = capsys.readouterr().err
    assert "5/5" in shown
    assert " images/s" in shown


def test_workers_that_are_not_forked_read_the_same(monkeypatch, images, paths):
    import torch.utils.data

    expected = images.transform(paths)
    loader = partial(torch.utils.data.DataLoader, multiprocessing_context="spawn")
    monkeypatch.setattr(torch.utils.data, "DataLoader", loader)
    np.testing.assert_allclose(images.set_params(n_workers=1).transform(paths), expected, atol=1e-5)


@pytest.mark.parametrize("n_workers", [0, 1])
def test_rows_that_no_file_can_have_are_listed_like_broken_ones(images, paths, tmp_path, n_workers):
    os.mkfifo(tmp_path / "pipe.png")
    odd = [tmp_path / "pipe.png", "", "a\0b", "a" * 5000, "/dev/zero", tmp_path]
    images.set_params(on_error="nan", n_workers=n_workers)
    with pytest.warns(UserWarning, match="images of 6 of 11 rows"):
        vectors = images.transform([*odd, *paths])
    assert images.errors_["row"].tolist() == list(range(6))
    assert images.errors_["message"].str.match(r"[A-Za-z]+Error: .").all()
    np.testing.assert_allclose(vectors[6:], images.transform(paths), atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1_000_000), (1_000_000, 1)])
def test_a_strip_that_would_fill_the_memory_is_refused(images, size):
    strip = np.zeros(size, dtype=np.uint8)
    message = rf"row 0 \(ndarray\): ValueError: it is a strip of {size[1]} x {size[0]} pixels"
    with pytest.raises(ValueError, match=message + r".* 16.*000000.*: crop it first"):
        images.transform([strip])


def test_a_broad_panorama_is_read(images):
    assert np.isfinite(images.transform([np.zeros((10, 1000), dtype=np.uint8)])).all()


@pytest.mark.parametrize(
    ("image_size", "resize_mode", "resized"),
    [
        (16, "shortest", "16 x 32000"),
        ((16, 24), "shortest", "24 x 48000"),
        (16, "longest", "0 x 16"),
    ],
)
def test_a_strip_is_measured_as_open_clip_resizes_it(
    open_clip, monkeypatch, image_size, resize_mode, resized
):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100_000)
    transform = open_clip.image_transform(image_size, is_train=False, resize_mode=resize_mode)
    strip = np.zeros((2000, 1), dtype=np.uint8)
    _, message = _Pictures([strip], transform, exif_orientation=False)[0]
    assert message.endswith(
        f"a strip of 1 x 2000 pixels, which would be resized to {resized}: crop it first"
    )


def test_a_strip_is_squashed_where_the_model_wants_it(open_clip, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    transform = open_clip.image_transform(16, is_train=False, resize_mode="squash")
    strip = np.zeros((2000, 1), dtype=np.uint8)
    _, pixels = _Pictures([strip], transform, exif_orientation=False)[0]
    assert pixels.shape == (3, 16, 16)


def test_the_limit_of_pillow_can_be_lifted(images, monkeypatch):
    strip = np.zeros((1, 2000), dtype=np.uint8)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match="crop it first"):
        images.transform([strip])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert np.isfinite(images.transform([strip])).all()


def test_workers_get_the_limit_of_pillow(monkeypatch, open_clip):
    transform = open_clip.image_transform(16, is_train=False)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 123)
    sent = pickle.dumps(_Pictures([], transform, exif_orientation=False))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 456)
    pickle.loads(sent)
    assert Image.MAX_IMAGE_PIXELS == 123


@pytest.mark.parametrize("n_workers", [0, 1])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_large_picture_that_pillow_reads_is_embedded(images, paths, monkeypatch, n_workers):
    expected = images.transform(paths)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)  # of 480
    vectors = images.set_params(n_workers=n_workers).transform(paths)
    np.testing.assert_allclose(vectors, expected, atol=1e-5)


class Reading(Sequence):
    """Pictures that are read from files when they are asked for, and how many are alive at most."""

    def __init__(self, paths):
        self.paths, self.alive, self.most = paths, 0, 0

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, row):
        picture = Image.open(self.paths[row])
        self.alive += 1
        self.most = max(self.most, self.alive)
        weakref.finalize(picture, self.forget)
        return picture

    def forget(self):
        self.alive -= 1

    def __reduce__(self):
        return Reading, (self.paths,)


@pytest.mark.parametrize("n_workers", [0, 1])
@pytest.mark.parametrize("cached", [False, True])
def test_pictures_of_a_sequence_are_never_all_in_memory(images, paths, tmp_path, n_workers, cached):
    names = [str(path) for path in paths * 20]
    if cached:
        images.set_params(cache_dir=tmp_path / "cache")
        images.transform(paths[:2])
    images.set_params(batch_size=4, n_workers=n_workers)
    reading = Reading(names)
    np.testing.assert_allclose(images.transform(reading), images.transform(names), atol=1e-5)
    assert reading.most < 20


def test_a_row_of_a_sequence_that_is_no_image_raises(images, paths):
    class Odd(Reading):
        def __getitem__(self, row):
            return None if row == 3 else super().__getitem__(row)

    with pytest.raises(ValueError, match="row 3 of X is None, not an image"):
        images.set_params(on_error="nan").transform(Odd(paths))


def test_an_empty_sequence_is_refused(images):
    with pytest.raises(ValueError, match="found 0 samples"):
        images.transform(Reading([]))
