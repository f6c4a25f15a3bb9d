"""Pairs to train encoders on: images, tokens, and ids that rows may have in common."""

import re

import numpy as np
import torch

from ..._blocks import BLOCKS
from .._items import as_images, as_texts
from .._tables import check_both_blocks, listed, read_blocks

_IN_MEMORY = (
    1 << 31
)  # bytes of resized images that are kept in memory; more are loaded again each time


class Pairs:
    """Images and texts of a table, as pixels and tokens.

    Parameters
    ----------
    towers : Towers
        Encoders, which determine the size of the images and the tokens.
    items : dict of str to list
        What `raw_items` gives, of both blocks.
    groups : ndarray of shape (n_rows,), default=None
        Ids of rows that are no negatives of each other.
    """

    def __init__(self, towers, items, groups=None):
        self._images, self._towers = items["image"], towers
        self.tokens = towers.read_texts(items["text"])
        captions = np.unique([normalised(text) for text in items["text"]], return_inverse=True)[1]
        self.groups = np.arange(len(self))
        ids = [captions]
        if groups is not None:
            self.groups = np.unique(groups, return_inverse=True)[1]
            ids.append(self.groups)
        self.ids = [torch.from_numpy(values) for values in ids]
        self._pixels = None
        if towers.read_images(self._images[:1]).numel() * len(self) <= _IN_MEMORY:
            self._pixels = towers.read_images(self._images)

    def __len__(self):
        return len(self._images)

    def check(self):
        """Raise an error if all images are equal."""
        pixels = self._pixels
        if pixels is not None and bool((pixels == pixels[:1]).all()):
            raise ValueError(
                "all images are equal, so there is nothing to learn from: give images that differ."
            )

    def images(self, rows):
        """Return images as a uint8 tensor of shape (n_rows, 3, height, width)."""
        if self._pixels is not None:
            return self._pixels[rows]
        return self._towers.read_images([self._images[row] for row in rows], rows)

    def encode(self, towers):
        """Embed all pairs in evaluation mode: two arrays of shape (n_rows, embed_dim)."""
        if self._pixels is None:
            image = towers.read_and_encode(self._images)
        else:
            image = towers.encode_images(self._pixels)
        return image, towers.encode_texts(self.tokens)

    def tensors(self):
        """List the tensors of the pairs, which identify them."""
        pixels = [] if self._pixels is None else [self._pixels]
        return [*pixels, self.tokens, *self.ids]


def normalised(caption):
    """Return a caption without case, punctuation and spacing."""
    return " ".join(re.findall(r"\w+", caption.lower()))


def raw_items(X, image_column, text_column):
    """Read the raw columns of a table.

    Parameters
    ----------
    X : dataframe or ndarray of shape (n_samples, 2), object
        The table, which may hold one of the columns alone.
    image_column, text_column : str
        Their names.

    Returns
    -------
    dict of str to list
        The checked items of each block that is there.
    """
    columns = {"image": image_column, "text": text_column}
    blocks = read_blocks(X, columns)
    for block, (_, names) in blocks.items():
        if names is not None:
            raise ValueError(
                f"the encoders take raw images and texts, got {block} features ({listed(names)}): "
                f"give the column {columns[block]!r}."
            )
    readers = {"image": as_images, "text": as_texts}
    return {block: readers[block](blocks[block][0]) for block in BLOCKS if block in blocks}


def raw_pairs(X, image_column, text_column):
    """Read both raw columns of a table, likewise."""
    items = raw_items(X, image_column, text_column)
    check_both_blocks(items, X)
    return items


def check_training_pairs(items):
    """Raise an error if there is nothing to learn from."""
    if len({normalised(text) for text in items["text"]}) == 1:
        raise ValueError(
            "all captions are equal, so there is nothing to learn from: give captions that differ."
        )
