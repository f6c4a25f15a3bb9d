"""Items of a display: loading, drawing and writing them."""

import os
import textwrap
from io import BytesIO
from pathlib import Path

import numpy as np

from .._blocks import BLOCKS, table_column, table_columns
from .._inputs.cells import unwrap_image
from .._inputs.messages import cut


def column_items(table, block):
    """Return the images or texts of a raw table; a string is a path where images are asked for."""
    columns = table_columns(table)
    if columns is None or not set(BLOCKS) <= set(columns):
        raise ValueError(
            "the images and texts are read from a dataframe with the columns 'image' and 'text', "
            f"got {type(table).__name__ if columns is None else columns[:3]}: give such a table, "
            "or codes and items to RetrievalDisplay.from_codes."
        )
    items = table_column(table, block)
    if block == "text":
        return items
    return [Path(item) if isinstance(item, str) else item for item in items]


def open_image(item):
    """Return an image as a PIL image that matplotlib draws over its white ground."""
    from PIL import Image, ImageOps

    unwrapped = unwrap_image(item)
    if unwrapped is not item:
        item = Path(unwrapped) if isinstance(unwrapped, str) else unwrapped
    known = (Image.Image, np.ndarray, bytes, os.PathLike)
    if not isinstance(item, known):
        raise TypeError(
            "an item must be a text (str), a PIL image, an array of uint8, bytes or a path, got "
            f"{type(item).__name__}: convert the items first."
        )
    try:
        if isinstance(item, Image.Image):
            image = item
        elif isinstance(item, np.ndarray):
            image = Image.fromarray(item[..., 0] if item.shape[2:] == (1,) else item)
        else:
            with Image.open(BytesIO(item) if isinstance(item, bytes) else item) as opened:
                image = ImageOps.exif_transpose(opened)
        is_deep = image.mode.startswith("I;16") and not isinstance(item, np.ndarray)
        if is_deep or (image.mode == "I" and image.format in {"PNG", "PPM"}):
            # Scaled from 16 bits: Pillow's own conversion would make all above 255 white.
            image = Image.fromarray((np.asarray(image) / 257).round().astype(np.uint8))
        if image.mode.startswith(("I", "F")) or not all(image.size):
            raise ValueError(f"{image.size[0]} x {image.size[1]} pixels of mode {image.mode}")
        image = image.convert("RGBA")
    # On broken files Pillow's decoders raise many kinds of errors, not only OSError.
    except Exception as error:
        what = repr(os.fspath(item)) if isinstance(item, os.PathLike) else type(item).__name__
        raise ValueError(
            f"cannot read an image ({what}: {cut(error)}): give a readable file or pixels of uint8."
        ) from error
    image.thumbnail((400, 400))  # more than a cell shows
    return image


def write(axes, text, families=None):
    """Write a text into its cell: wrapped to the width, cut where it is too long."""
    label = axes.text(
        0.5, 0.5, "", ha="center", va="center", fontsize=9, transform=axes.transAxes,
        parse_math=False, fontfamily=families,
    )  # fmt: skip
    label.set_in_layout(False)
    cell = axes.get_window_extent()
    for width in range(40, 3, -1):
        lines = textwrap.wrap(text, width)
        label.set_text("\n".join(lines))
        size = label.get_window_extent()
        if size.width <= 0.92 * cell.width:
            break
    n_lines = max(1, int(len(lines) * 0.92 * cell.height / max(size.height, 1)))
    label.set_text("\n".join(textwrap.wrap(text, width, max_lines=n_lines, placeholder=" …")))
