"""Files of the feature cache: shards, and how a file gets its name once it is whole."""

import os
import re
import secrets
from contextlib import contextmanager
from math import prod

import numpy as np
from sklearn.utils import gen_batches

from ..._files import regular, replaced

KEY = np.dtype("S16")
INDEX = np.dtype([("key", KEY), ("check", "<u8")])
SHARD = re.compile(r"[0-9a-f]{16}\.shard")
BLOCK = 4096  # rows that are copied and checked at once


def open_shard(path, dtype, width):
    """Return the index of a shard, and its rows as a memory map, or raise a ValueError."""
    offsets, shapes = [], []
    with regular(path) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        try:
            for expected in (INDEX, dtype):
                np.lib.format.read_magic(file)
                shape, fortran, found = np.lib.format.read_array_header_1_0(file)
                if fortran or found != expected:
                    raise ValueError("its arrays are of another kind.")
                offsets.append(file.tell())
                shapes.append(shape)
                file.seek(prod(shape) * expected.itemsize, os.SEEK_CUR)
            sound = file.tell() == size and shapes == [shape[:1], (shape[0], width)]
            if not sound:
                raise ValueError("it is truncated or of another size.")
            file.seek(offsets[0])
            index = np.fromfile(file, dtype=INDEX, count=shape[0])
            if not (index["key"][:-1] < index["key"][1:]).all():
                raise ValueError("its keys are not in order.")
            return index, np.memmap(file, dtype, "r", offset=offsets[1], shape=shape)
        except Exception as error:  # a damaged header raises anything
            raise ValueError(f"{path} is damaged.") from error


def write_shard(folder, index, blocks, dtype, width):
    """Write a shard from its index and its rows, block by block."""
    folder.mkdir(exist_ok=True)
    with written(folder / f"{secrets.token_hex(8)}.shard") as file:
        for parts, of, shape in (
            ([index], INDEX, index.shape),
            (blocks, dtype, (len(index), width)),
        ):
            descr = np.lib.format.dtype_to_descr(of)
            header = {"descr": descr, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for part in parts:
                file.write(part.view(np.uint8))


def gathered(arrays, number, row):
    """Yield row `row[i]` of array `number[i]` for all i, block by block."""
    for block in gen_batches(len(row), BLOCK):
        rows = np.empty((block.stop - block.start, arrays[0].shape[1]), dtype=arrays[0].dtype)
        for one in np.unique(number[block]):
            of_it = number[block] == one
            rows[of_it] = arrays[one][row[block][of_it]]
        yield rows


@contextmanager
def written(path):
    """Open a file as `replaced` does, and let the rename last."""
    with replaced(path) as file:
        yield file
    if os.name != "nt":  # a folder cannot be opened there
        handle = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def only_one(folder):
    """Say whether no other process is in here; always, where there are no locks."""
    if os.name == "nt":
        yield True
        return
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        except OSError:  # not every network file system has locks; merging twice does no harm
            pass
        yield True
    finally:
        os.close(handle)
