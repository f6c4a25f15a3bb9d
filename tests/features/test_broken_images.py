"""Ten thousand files of which one in a hundred is broken, in ten ways: none is lost."""

import os
import re
import struct
import zlib
from io import BytesIO
from itertools import cycle

import numpy as np
import pytest
from PIL import Image

from skhash.features import CLIPFeaturizer

N_IMAGES, EACH = 10_000, 10
WAYS = {
    "truncated jpeg": r"OSError: image file is truncated \(\d+ bytes not processed\)",
    "truncated png": r"OSError: image file is truncated",
    "damaged png": r"OSError: broken data stream when reading image file",
    "empty": r"UnidentifiedImageError: cannot identify the file as a picture",
    "text": r"UnidentifiedImageError: cannot identify the file as a picture",
    "page": r"UnidentifiedImageError: cannot identify the file as a picture",
    "bomb": r"DecompressionBombError: Image size \(3600000000 pixels\) exceeds limit of \d+ .*",
    "missing": r"FileNotFoundError: \[Errno \d+\] No such file or directory: '.*'",
    "folder": r"OSError: it is a folder, not a file",
    "unreadable": r"(PermissionError|OSError): \[Errno \d+\] (Permission|Too many levels).*",
}


def encoded(picture, kind):
    file = BytesIO()
    picture.save(file, kind)
    return file.getvalue()


def colour(row):
    """A picture of one colour, another for each row."""
    return Image.new("RGB", (3, 2), (row % 100 * 2, row // 100 * 2, row % 7 * 30))


def bomb():
    png = bytearray(encoded(colour(0), "PNG"))
    png[16:24] = struct.pack(">II", 60_000, 60_000)
    png[29:33] = struct.pack(">I", zlib.crc32(png[12:29]))
    return bytes(png)


def write_broken(path, way, row):
    """Write a file that cannot be read, and return its path."""
    noise = np.random.default_rng(row).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    jpeg, png = (encoded(Image.fromarray(noise), kind) for kind in ("JPEG", "PNG"))
    contents = {
        "truncated jpeg": (".jpg", jpeg[: len(jpeg) // 2 + row % 100]),
        "truncated png": (".png", png[: len(png) // 2 + row % 100]),
        "damaged png": (".png", png[:2000] + bytes(20) + png[2020:]),
        "empty": (".webp", b""),
        "text": (".jpg", f"picture {row}, moved".encode()),
        "page": (".png", f"<!DOCTYPE html><title>404: {row}</title>".encode()),
        "bomb": (".png", bomb()),
    }
    suffix, content = contents.get(way, (".jpg", None))
    path = path.with_suffix(suffix)
    if content is not None:
        path.write_bytes(content)
    elif way == "folder":
        path.mkdir()
    elif way == "unreadable" and os.geteuid():
        path.write_bytes(jpeg)
        path.chmod(0)
    elif way == "unreadable":
        path.symlink_to(path.name)  # root may read files of all permissions, but no loop of links
    return path


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    """All paths, and the way in which some rows are broken."""
    folder = tmp_path_factory.mktemp("collection")
    rows = np.random.default_rng(0).permutation(N_IMAGES)[: len(WAYS) * EACH]
    broken = dict(zip(sorted(rows.tolist()), cycle(WAYS), strict=False))
    kinds = [("PNG", ".png"), ("JPEG", ".jpeg"), ("WEBP", ".webp"), ("PNG", ".jpg")]
    paths = []
    for row in range(N_IMAGES):
        path = folder / f"{row:05}"
        if row in broken:
            path = write_broken(path, broken[row], row)
        else:
            kind, suffix = kinds[row % len(kinds)]
            path = path.with_suffix(suffix)
            path.write_bytes(encoded(colour(row), kind))
        paths.append(path)
    return paths, broken


@pytest.fixture
def images(tiny, weights):
    return CLIPFeaturizer(tiny, pretrained=weights, batch_size=250, device="cpu")


def check_errors(images, vectors, paths, ways):
    """Check that the rows of `ways` and no others are found, named and NaN."""
    assert vectors.shape == (len(paths), 8)
    assert images.errors_["row"].tolist() == list(ways)
    assert images.errors_["item"].tolist() == [repr(str(paths[row])) for row in ways]
    for message, way in zip(images.errors_["message"], ways.values(), strict=True):
        assert re.fullmatch(WAYS[way], message), (way, message)
    is_nan = np.isnan(vectors)
    np.testing.assert_array_equal(is_nan.any(axis=1).nonzero()[0], list(ways))
    np.testing.assert_array_equal(is_nan.all(axis=1).nonzero()[0], list(ways))


def test_each_broken_one_of_ten_thousand_is_found_and_named(images, collection):
    paths, broken = collection
    with pytest.warns(UserWarning, match="images of 100 of 10000 rows"):
        vectors = images.set_params(on_error="nan").transform(paths)
    check_errors(images, vectors, paths, broken)


def test_workers_find_and_name_the_same(images, collection):
    paths, broken = collection
    rows = [row for row in range(N_IMAGES) if row in broken or row % 10 == 0]
    images.set_params(on_error="nan", n_workers=2)
    with pytest.warns(UserWarning, match=f"images of 100 of {len(rows)} rows"):
        vectors = images.transform([paths[row] for row in rows])
    ways = {at: broken[row] for at, row in enumerate(rows) if row in broken}
    check_errors(images, vectors, [paths[row] for row in rows], ways)


def test_a_broken_file_changes_no_other_row(images, collection):
    paths, broken = collection
    exact = [row for row in range(3000) if row % 4 in (0, 3) or row in broken]  # PNG files
    good = [row for row in exact if row not in broken]
    images.set_params(on_error="nan")
    with pytest.warns(UserWarning, match="became NaN"):
        vectors = images.transform([paths[row] for row in exact])
    alone = images.transform([colour(row) for row in good])
    assert len(images.errors_) == 0
    np.testing.assert_allclose(vectors[np.isin(exact, good)], alone, atol=1e-5)
    assert np.abs(np.diff(alone, axis=0)).max(axis=1).min() > 1e-4  # a shift would be seen


@pytest.mark.parametrize("n_workers", [0, 2])
def test_the_first_broken_row_is_raised(images, collection, n_workers):
    paths, broken = collection
    first = next(iter(broken))
    images.set_params(n_workers=n_workers)
    named = f"row {first} ({str(paths[first])!r}): "
    with pytest.raises(ValueError, match=re.escape(named) + WAYS[broken[first]]):
        images.transform(paths)


def test_a_file_with_the_wrong_suffix_is_not_broken(images, collection):
    paths, broken = collection
    rows = [row for row in range(3, N_IMAGES, 40) if row not in broken]
    assert all(paths[row].suffix == ".jpg" for row in rows)
    vectors = images.transform([paths[row] for row in rows])
    expected = images.transform([colour(row) for row in rows])
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
