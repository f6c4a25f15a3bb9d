"""Write an index into a folder, so that a crash leaves the old one or the new one."""

import json
import os
import secrets
from contextlib import suppress
from math import prod
from pathlib import Path

import numpy as np

from .. import __version__
from .._files import TEMPORARY, only_writer, replaced
from .._hamming.search import TakenWords
from ._journal import JOURNALS
from ._rows import parts
from ._store import (
    FORMAT,
    NAMES,
    VERSION,
    canonical,
    checksum,
    parse,
    plain,
    sampled_sha256,
    sha256,
)


def write_index(folder, fields, arrays, rows=None, journal=None):
    """Write an index; an older one in the folder is there until the new one is.

    Parameters
    ----------
    folder : str or path
        Where to write; made if it is not there.
    fields : dict
        Entries of index.json from ``parameters`` to ``n_added``.
    arrays : dict of str to array
        The words of each block, and those of ``y``, ``ids`` and ``vectors`` that there are.
    rows : ndarray of shape (n_items,), int64, default=None
        Which rows of the arrays are written; ``None`` means all.
    journal : Journal, default=None
        That of the index, if it was opened from this folder: an error is raised if another writer
        has changed the folder since.

    Returns
    -------
    str
        The ``sha256`` of index.json.
    """
    folder = Path(folder)
    if "y" in arrays:
        arrays = {**arrays, "y": storable(arrays["y"])}
    document = {"format": FORMAT, "version": VERSION, "written_by": __version__, **fields}
    canonical(document)  # before anything is written
    for name, value in fields["parameters"].items():
        if isinstance(value, (list, tuple, dict)):  # which `read_index` would refuse
            raise ValueError(
                f"{name} cannot be saved, it is a {type(value).__name__}: set it to a number, a "
                "string or None."
            )
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file: give a folder, to be made if it is not there.")
    folder.mkdir(parents=True, exist_ok=True)
    with only_writer(folder) as sync_folder:
        if (folder / "index.json").exists():
            parse(folder)  # raises an error if it is of something else
        if journal is not None:
            journal.check_unchanged()
        try:
            document["arrays"] = {
                name: _write_array(folder, name, array, rows) for name, array in arrays.items()
            }
            document["sha256"] = checksum(document)
            sync_folder()
            with replaced(folder / "index.json") as file:
                file.write(json.dumps(document, indent=1, default=plain).encode())
            sync_folder()
        finally:
            _sweep(folder)
    return document["sha256"]


def _sweep(folder):
    """Delete what does not belong to index.json: of older ones, and of a failed save."""
    index = folder / "index.json"
    named = index.read_text(encoding="utf-8") if index.exists() else ""
    for path in folder.iterdir():
        of = TEMPORARY.sub("", path.name)
        ours = NAMES.fullmatch(of) or (of == "index.json" != path.name)
        void = path.name not in named
        if journal := JOURNALS.fullmatch(path.name):
            ours, void = True, f'"{journal[1]}' not in named
        if ours and void:
            with suppress(PermissionError):  # Windows keeps what is mapped, until the next save
                path.unlink()


def _write_array(folder, name, array, rows):
    path = folder / f"{name}-{secrets.token_hex(8)}.npy"
    dtype, by_row = array.dtype.newbyteorder("<"), name in ("y", "ids", "vectors")
    shape = array.shape
    if rows is not None:
        shape = (len(rows), *shape[1:]) if by_row else (shape[0], len(rows))
    header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
    with replaced(path) as file:
        np.lib.format.write_array_header_1_0(file, header)
        if by_row:
            for part in parts(np.broadcast_to(0, (prod(shape[1:]), shape[0]))):
                taken = array[part if rows is None else rows[part]]
                file.write(np.ascontiguousarray(taken, dtype=dtype).tobytes())
        else:
            _write_words(file, array if rows is None else TakenWords(array, rows), dtype)
        n_bytes = file.seek(0, os.SEEK_END)
        return {
            "file": path.name,
            "shape": list(shape),
            "dtype": dtype.str,
            "bytes": n_bytes,
            "sha256": sha256(file),
            "sampled_sha256": sampled_sha256(file, n_bytes),
        }


def _write_words(file, words, dtype):
    """Write words part by part: those of a memory map are never in memory together."""
    start, n_codes = file.tell(), words.shape[1]
    for part in parts(words):
        for number, line in enumerate(words[:, part]):
            file.seek(start + (number * n_codes + part.start) * dtype.itemsize)
            file.write(np.ascontiguousarray(line, dtype=dtype).tobytes())


def storable(y):
    """Return labels as an array that needs no pickle."""
    if y.dtype.kind in "OT" and all(isinstance(label, str) for label in y.flat):
        fixed = y.astype(np.str_)
        if np.array_equal(fixed.astype(object), y.astype(object)):  # else zeros at an end are lost
            return fixed
    if y.dtype.kind not in "biufcSUmM":
        raise ValueError(
            f"labels of dtype {y.dtype} that are not all strings cannot be saved: give numbers, "
            "booleans, dates or strings, for example the rows of a table of your own."
        )
    return y
