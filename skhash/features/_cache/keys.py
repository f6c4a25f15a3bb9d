"""Keys of items by their content, 16 bytes of BLAKE2b."""

import os
import stat
import time
from functools import partial
from hashlib import blake2b, file_digest

import numpy as np

from .files import KEY

_new = partial(blake2b, digest_size=KEY.itemsize)
_FILE, _PIXELS, _TEXT, _STAT = b"file", b"pixels", b"text", b"stat"
_ORIENTATION = 0x0112  # tag of EXIF
_SETTLED = 2_000_000_000  # nanoseconds after which a file system tells a second change by the time
_BATCH = 1024  # files that are read before their keys are kept


def text_keys(texts):
    """Return the key of each text."""
    return [_new(text.encode("utf-8", "surrogatepass"), person=_TEXT).digest() for text in texts]


def image_keys(images, known):
    """Return the key of each image, None where it cannot be read.

    Parameters
    ----------
    images : list or LazyImages
        Paths, bytes of files, file objects, pictures of Pillow or arrays.
    known : Shards
        The keys of files that were read before, by path, size and times.

    Returns
    -------
    list of bytes or None
        The keys: of the bytes of a file, or of the pixels, shape and mode.
    """
    keys: list[bytes | None] = [None] * len(images)
    marks = []
    for row, image in enumerate(images):
        if not isinstance(image, (str, os.PathLike)):
            keys[row] = _key(image, row)
        elif (mark := _stat(image)) is not None:
            marks.append((row, mark))
    seen, of_files = _look_up(known, np.array([mark for _, mark in marks], dtype=KEY))
    for at in np.flatnonzero(seen):
        keys[marks[at][0]] = of_files[at].tobytes()
    unread = [marks[row] for row in np.flatnonzero(~seen)]
    for start in range(0, len(unread), _BATCH):
        settled = []
        for row, mark in unread[start : start + _BATCH]:
            keys[row] = _of_path(images[row])
            if keys[row] and _is_settled(images[row], mark):
                settled.append((mark, keys[row]))
        _keep(known, settled)
    return keys


def _look_up(known, marks):
    """Look up the keys of files that were read before; a file that cannot be looked up is read."""
    try:
        return known.get(marks)
    except OSError:  # a cache that may not be read
        return np.zeros(len(marks), dtype=bool), np.empty((0, KEY.itemsize), dtype=np.uint8)


def _keep(known, settled):
    """Keep the keys of files; without them files are only read again."""
    marks = np.array([mark for mark, _ in settled], dtype=KEY)
    keys = np.frombuffer(b"".join(key for _, key in settled), dtype=np.uint8)
    try:
        known.put(marks, keys.reshape(-1, KEY.itemsize))
    except OSError:  # a full disk, or a cache that may only be read
        return


def _stat(path):
    """Return a key of a file's path, size and times, None where there is no regular file."""
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):  # to open a pipe would be to wait for ever
            return None
        # The last change of the inode shows when other content got the old size and time.
        numbers = (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
        return _new(repr((os.path.abspath(path), *numbers)).encode(), person=_STAT).digest()
    except (OSError, ValueError):  # a path with a NUL
        return None


def _is_settled(path, mark):
    """Say whether a file did not change while it was read, nor so late that times do not show."""
    try:
        age = time.time_ns() - os.stat(path).st_mtime_ns
    except OSError:
        return False
    return age > _SETTLED and _stat(path) == mark


def _of_path(path):
    try:
        with open(path, "rb") as file:
            return _of_file(file)
    except (OSError, ValueError):
        return None


def _of_file(file):
    return file_digest(file, partial(_new, person=_FILE)).digest()


def _key(image, row):
    """Return the key of an image that is no path."""
    if isinstance(image, bytes):
        return _new(image, person=_FILE).digest()
    if isinstance(image, np.ndarray):
        pixels = _new(repr((image.shape, image.dtype.str)).encode(), person=_PIXELS)
        pixels.update(image.tobytes())
        return pixels.digest()
    if hasattr(image, "read") and hasattr(image, "seek"):
        return _of_open_file(image)
    from PIL import Image

    if not isinstance(image, Image.Image):
        raise TypeError(
            f"row {row} must be a path, bytes, a file object, a PIL image or an array, got "
            f"{type(image).__name__}: convert the images first."
        )
    try:
        return _of_picture(image)
    except Exception:  # as many kinds as Pillow has decoders
        return None


def _of_open_file(file):
    try:
        position = file.tell()
        file.seek(0)  # where Pillow reads from
        try:
            return _new(file.read(), person=_FILE).digest()
        finally:
            file.seek(position)
    except (OSError, ValueError):
        return None


def _of_picture(image):
    """Return the key of the pixels, and of what else becomes of them."""
    image.load()
    rest = image.info.get("transparency"), image.getexif().get(_ORIENTATION)
    pixels = _new(repr((image.mode, image.size, rest)).encode(), person=_PIXELS)
    has_palette = image.mode in ("P", "PA")
    pixels.update((image.convert("RGBA") if has_palette else image).tobytes())
    return pixels.digest()
