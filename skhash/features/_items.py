"""Read a sequence of raw items, images or texts, one a row."""

import os
import re
import stat
from collections.abc import Mapping, Sequence, Set
from io import BytesIO

import narwhals as nw
import numpy as np
import pandas as pd

from .._inputs.cells import lone_surrogate, unwrap_image
from .._inputs.messages import cut, shorten

_URL = re.compile(r"data:|[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_KINDS = {"d": "folder", "p": "named pipe", "s": "socket"}
_ORIENTATION = 0x0112  # tag of EXIF
_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}


def as_texts(X):
    """Return the rows of `X` as a list of str, or say which row is none."""
    texts = _as_rows(X, "texts")
    for row, text in enumerate(texts):
        if _is_missing(text):
            raise ValueError(f"row {row} of X is {text!r}, not a text: use '' for an empty text.")
        if not isinstance(text, str):
            raise TypeError(
                f"row {row} of X must be a str, got {type(text).__name__}: convert the texts first."
            )
        if (position := lone_surrogate(text)) is not None:
            raise ValueError(
                f"row {row} of X contains a lone surrogate, half of a character, at {position}: "
                f"{shorten(text[position : position + 20])}; read the text again as UTF-8."
            )
    return texts


class LazyImages(Sequence):
    """Images of a sequence, each read and checked when it is asked for, so never all in memory.

    Parameters
    ----------
    images : Sequence
        The images.
    rows : range or ndarray of int
        Those that are meant, in order.
    """

    def __init__(self, images, rows):
        self.images, self.rows = images, rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return LazyImages(self.images, self.rows[index])
        row = int(self.rows[index])
        image = unwrap_image(self.images[row])
        _check_image(image, row)
        return image


def as_images(X):
    """Return the rows of `X` as what `open_image` reads, or say which row is not.

    Parameters
    ----------
    X : array-like of shape (n_samples,)
        The images.

    Returns
    -------
    list or LazyImages
        The latter of a `collections.abc.Sequence` that is no list or tuple: it may be longer than
        memory, and its rows are not checked yet.
    """
    if isinstance(X, Sequence) and not isinstance(X, (str, bytes, list, tuple)) and len(X):
        return LazyImages(X, range(len(X)))
    images = [unwrap_image(image) for image in _as_rows(X, "images")]
    for row, image in enumerate(images):
        _check_image(image, row)
    return images


def _as_rows(X, what):
    alone = (str, bytes, os.PathLike, Mapping, Set)
    if isinstance(X, alone) or not (hasattr(X, "__len__") and hasattr(X, "__iter__")):
        raise TypeError(
            f"X must be a sequence of {what}, one a row, got {type(X).__name__}: "
            "put a single one into a list."
        )
    frame = nw.from_native(X, eager_only=True, pass_through=True)
    if isinstance(frame, nw.DataFrame):
        if len(frame.columns) != 1:
            raise ValueError(
                f"a dataframe of {what} must have one column, got {len(frame.columns)}: "
                "select the column that holds them."
            )
        X = frame[:, 0].to_list()  # an array would split cells of several fields
    if isinstance(X, np.ndarray):
        if X.ndim == 2 and X.size == len(X):
            X = X.ravel()
        is_stack = what == "images" and X.ndim == 4
        if X.ndim != 1 and not is_stack:
            raise ValueError(
                f"X must be a one-dimensional sequence of {what}, got an array of shape {X.shape}: "
                "give one item a row, in a list if they are arrays."
            )
    rows = list(X)
    if not rows:
        raise ValueError(f"found 0 samples in X: at least one of the {what} is needed.")
    return rows


def _is_missing(value):
    return value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value))


def _check_image(image, row):
    if _is_missing(image):
        raise ValueError(
            f"row {row} of X is {image!r}, not an image: drop the row or give it a picture."
        )
    if isinstance(image, str) and _URL.match(image):
        raise ValueError(
            f"row {row} of X is the URL {shorten(image)}, and images are read from files only: "
            "download them first, for example with img2dataset."
        )
    if isinstance(image, np.ndarray):
        colours = image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (1, 3, 4))
        if image.dtype != np.uint8 or not colours or image.size == 0:
            raise ValueError(
                f"row {row} of X must be a uint8 array of shape (height, width) or (height, width, "
                f"3 or 4), got {image.dtype} of shape {image.shape}: convert it first."
            )
        return
    if not isinstance(image, (str, bytes, os.PathLike)) and not is_open_file(image):
        from PIL import Image

        if not isinstance(image, Image.Image):
            raise TypeError(
                f"row {row} of X must be a path, bytes, an open binary file, a PIL image or a "
                f"uint8 array, got {type(image).__name__}: convert the images first."
            )


def take(items, rows):
    """Return some of the items, in order, as lazily as they are."""
    if isinstance(items, LazyImages):
        return LazyImages(items.images, np.asarray(items.rows)[rows])
    return [items[row] for row in rows]


def is_open_file(image):
    """Tell whether an image is a file object."""
    return hasattr(image, "read") and hasattr(image, "seek")


def describe_image(image):
    """Name an image in a message: its path where it has one."""
    if isinstance(image, (str, os.PathLike)):
        return shorten(os.fsdecode(image), 300)
    if isinstance(image, bytes):
        return f"{len(image)} bytes"
    return type(image).__name__


def open_image(image, *, exif_orientation=False):
    """Open an image and convert it to RGB; of several frames the first, or the one that is shown.

    Parameters
    ----------
    image : str, os.PathLike, bytes, file object, PIL.Image.Image or ndarray of uint8
        A path, the bytes of a file, a file open for reading bytes, a picture, or pixels that
        `as_images` has checked.
    exif_orientation : bool, default=False
        Whether to turn the picture as the orientation noted in EXIF says.

    Returns
    -------
    PIL.Image.Image
        The picture, fully loaded, in mode RGB.

    Raises
    ------
    ValueError
        If it cannot be read.

    Notes
    -----
    Pillow warns of odd metadata, of a decoder that is missing, and from half the number of pixels
    that it refuses. These warnings go through Python's filters: catching them here would change the
    filters of all threads. Where a filter makes one an error, the picture cannot be read. A file is
    closed again, but for one that came open. Only regular files are opened, since a pipe or a
    device may block for ever.
    """
    from PIL import UnidentifiedImageError

    try:
        return _read(image, exif_orientation)
    except UnidentifiedImageError as error:
        # Pillow's message names the file, or shows where in memory the bytes are.
        message = "UnidentifiedImageError: cannot identify the file as a picture"
        raise ValueError(message) from error
    # On broken files Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error and
    # others, and DecompressionBombError, none of which is an OSError.
    except Exception as error:
        raise ValueError(f"{type(error).__name__}: {cut(error)}") from error


def _read(image, exif_orientation):
    from PIL import Image

    if isinstance(image, np.ndarray):
        grey = image.reshape(image.shape[:2]) if image.size == np.prod(image.shape[:2]) else image
        return Image.fromarray(grey).convert("RGB")
    if isinstance(image, Image.Image):
        return _to_rgb(image, exif_orientation)
    if isinstance(image, bytes):
        image = BytesIO(image)
    elif is_open_file(image):
        image.seek(0)
        image = BytesIO(image.read())
    else:
        _check_regular(image)
    with Image.open(image) as opened:
        return _to_rgb(opened, exif_orientation)


def _check_regular(path):
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        raise OSError(f"it is a {_KINDS.get(stat.filemode(mode)[0], 'device')}, not a file")


def _to_rgb(image, exif_orientation):
    from PIL import Image

    if 0 in image.size:
        raise ValueError("it has no pixels")
    image.load()  # truncation shows here, not in open
    # Not ImageOps.exif_transpose: it also writes the EXIF anew, and odd tags cannot be written.
    turn = _TURNS.get(image.getexif().get(_ORIENTATION)) if exif_orientation else None
    # Files of 16 bits may come as 32, filled to 16.
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in {"PNG", "PPM"}):
        # Scaled: Pillow's own conversion would make all above 255 white.
        image = Image.fromarray((np.asarray(image) / 257).round().astype(np.uint8))
    if image.mode.startswith(("I", "F")):
        raise ValueError(
            f"its pixels are of mode {image.mode!r}, whose range is unknown: scale them to 0..255."
        )
    if image.mode == "P" and isinstance(image.info.get("transparency"), bytes):
        image = image.convert("RGBA")  # else Pillow warns that this would be lost
    image = image.convert("RGB")
    return image if turn is None else image.transpose(Image.Transpose[turn])


def progress_bar(n_items, unit, verbose):
    """Return a bar of progress, which is shown if `verbose` says so."""
    from tqdm import tqdm

    return tqdm(total=n_items, unit=f" {unit}", disable=not verbose)


def distinct(items):
    """Find the distinct items: paths, bytes and texts by value, objects by identity.

    Parameters
    ----------
    items : list or LazyImages
        The items; alive during the call, so that identities are unique. Of the latter each counts
        as distinct, and none is read.

    Returns
    -------
    first : list of int
        Row where each distinct item is met first.
    inverse : ndarray of shape (n_samples,), intp
        For each row, the position of its item in `first`.
    """
    if isinstance(items, LazyImages):
        return list(range(len(items))), np.arange(len(items))
    position, first, inverse = {}, [], np.empty(len(items), dtype=np.intp)
    for row, item in enumerate(items):
        if isinstance(item, os.PathLike):
            item = os.fspath(item)
        key = item if isinstance(item, (str, bytes)) else id(item)
        if key not in position:
            position[key] = len(first)
            first.append(row)
        inverse[row] = position[key]
    return first, inverse
