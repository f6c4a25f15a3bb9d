"""Batches of preprocessed images, read ahead by other processes if wanted."""

import pickle
from multiprocessing import current_process

from ..._libraries import import_with_torchvision
from .._items import open_image
from .._towers.resize import check_resized


class _Pictures:
    """The data set of a DataLoader: a position becomes a tensor, or the reason why not."""

    def __init__(self, images, preprocess, exif_orientation):
        self.images, self.preprocess = images, preprocess
        self.exif_orientation = exif_orientation

    def __getstate__(self):
        from PIL import Image

        # A process that is not forked would have the default limit.
        preprocess = pickle.dumps(self.preprocess)
        return {**vars(self), "preprocess": preprocess}, Image.MAX_IMAGE_PIXELS

    def __setstate__(self, state):
        from PIL import Image

        import_with_torchvision("open_clip")  # before what it needs is unpickled, in a new process
        attributes, Image.MAX_IMAGE_PIXELS = state
        vars(self).update(attributes, preprocess=pickle.loads(attributes["preprocess"]))

    def __len__(self):
        return len(self.images)

    def __getitem__(self, position):
        image = self.images[position]
        try:
            picture = open_image(image, exif_orientation=self.exif_orientation)
            check_resized(picture, getattr(self.preprocess, "transforms", ()))
            return position, self.preprocess(picture)
        except ValueError as error:
            return position, str(error)


def _collate(items):
    import torch

    failures = {position: item for position, item in items if isinstance(item, str)}
    read = [(position, item) for position, item in items if position not in failures]
    pixels = torch.stack([item for _, item in read]) if read else None
    return [position for position, _ in read], pixels, failures


def picture_batches(images, preprocess, *, exif_orientation, batch_size, n_workers, pin_memory):
    """Read pictures in batches; no more than a few batches are in memory at any time.

    Parameters
    ----------
    images : list
        What `as_images` has checked.
    preprocess : callable
        Turns a picture into a tensor of shape (3, height, width).
    exif_orientation : bool
        As in `open_image`.
    batch_size : int
        Number of pictures in a batch.
    n_workers : int
        Number of processes that read; with 0 this one does.
    pin_memory : bool
        Whether to lay the pixels where a GPU can fetch them.

    Yields
    ------
    positions : list of int
        Positions in `images` of those that were read, ascending.
    pixels : Tensor of shape (n_read, 3, height, width) or None
        Their pixels; None where none could be read.
    failures : dict of int to str
        For each of the others, why.
    """
    import torch
    from torch.utils.data import DataLoader

    if current_process().daemon:  # such as a worker of Dask, which may not start others
        n_workers = 0
    yield from DataLoader(
        _Pictures(images, preprocess, exif_orientation),  # type: ignore[arg-type]
        batch_size=batch_size,
        num_workers=n_workers,
        collate_fn=_collate,
        pin_memory=pin_memory,
        generator=torch.Generator(),  # else the loader draws from the global one
    )
