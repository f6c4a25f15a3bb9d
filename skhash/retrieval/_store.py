"""An index in a folder, without pickle. Format version 2; version 1 is read too.

The folder holds ``index.json`` and arrays; other files are not part of the index.

**Arrays** are ``.npy`` files (NEP 1), little-endian, in C order, without pickled objects. Their
names are ``<array>-<16 hexadecimal digits>.npy``, where the digits are drawn at random by each
save, and ``<array>`` is one of

* ``codes``, or ``image`` and ``text`` if the index is paired: unsigned words of shape
  ``(n_words, n_samples)``. The packed bytes of a code (bit ``j`` is bit ``j % 8`` of byte
  ``j // 8``) are padded with zeros and cut into ``n_words`` words of 8 bytes, lowest byte first. A
  code of at most 4 bytes is one word of 1, 2 or 4 bytes. Word ``w`` of code ``i`` is at ``[w, i]``.
* ``y``, where there are labels: of shape ``(n_samples,)`` or ``(n_samples, n_labels)``; numbers,
  booleans, dates or strings of fixed width.
* ``ids``, where ids were given, or where items were removed and the numbers of the others are no
  longer 0, 1, ...: of shape ``(n_samples,)``; int64 or strings of fixed width. No two are equal;
  numbers ascend.
* ``vectors``, where there are vectors: of shape ``(n_samples, n_features)``, float16, float32 or
  float64; image vectors in the first half of the columns if the index is paired.

**index.json** is an object in UTF-8 of

* ``format``: ``"skhash.HammingRetriever"``; ``version``: ``2``; ``written_by``: the release;
* ``parameters``: those of the constructor; ``n_samples_fit_``, ``n_features_in_``, ``paired_``,
  ``packed_``, and ``feature_names_in_`` (or null): the attributes of these names;
* ``n_trained``: how many, from the first, train inverted lists;
* ``own_ids``: whether ids were given; ``n_added``: how many items were ever added, which is the
  number of the next one where no ids are given;
* ``arrays``: for each array its ``file``, ``shape``, ``dtype``, ``bytes`` (size of the file),
  ``sha256`` of the file, and ``sampled_sha256``: that of 64 blocks of 4096 bytes, one after the
  other, of which block ``i`` starts at byte ``i * (bytes - 4096) // 63``; of the whole file if it
  has no more bytes than these blocks;
* ``sha256``: that of the object without this entry, as JSON in ASCII with sorted keys and without
  spaces.

**Writing**: each file is written under a temporary name, flushed to the disk and renamed,
index.json last. Then arrays that it does not name are deleted. So a crash leaves the old index or
the new one. **Reading**: a reader that finds an array missing reads index.json again. Sizes,
checksums and headers are compared with index.json before an array is read, and the header of an
array is compared as text, never parsed.

Only items that are not removed are written; there may be none. **Version 1** has no ``ids``,
``vectors``, ``own_ids`` and ``n_added``, and at least one item.
"""

import hashlib
import json
import os
import re
from math import prod
from pathlib import Path

import numpy as np

from .._files import regular
from .._hamming.engine_numpy import to_words
from .._inputs.checks import check_choice

FORMAT, VERSION = "skhash.HammingRetriever", 2
NAMES = re.compile(r"(codes|image|text|y|ids|vectors)-[0-9a-f]{16}\.npy")
_MAGIC = b"\x93NUMPY\x01\x00"
_STRINGS = re.compile(r"<U[1-9]\d*")
_LABELS = re.compile(r"[<|][biufcSUmM]\d+(\[\d*[a-zA-Zμ]+\])?")
_SCALARS = (bool, int, float, str, type(None))
_FIRST_ENTRIES = {  # of version 1
    "format": str,
    "version": int,
    "written_by": str,
    "parameters": dict,
    "n_samples_fit_": int,
    "n_trained": int,
    "n_features_in_": int,
    "paired_": bool,
    "packed_": bool,
    "feature_names_in_": (list, type(None)),
    "arrays": dict,
    "sha256": str,
}
_ENTRIES = {**_FIRST_ENTRIES, "own_ids": bool, "n_added": int}
_ARRAY = {
    **{"file": str, "shape": list, "dtype": str},
    **{"bytes": int, "sha256": str, "sampled_sha256": str},
}
_MOST_ADDED = 1 << 62  # items whose numbers fit int64, far below its largest value
_LONGEST = 1 << 32  # bytes of a code that `to_words` is asked about
_BLOCKS, _BLOCK = 64, 4096
_WHOLE = 16 << 20  # bytes of arrays up to which all are checked by default


def read_index(folder, *, mmap_mode, verify):
    """Read an index.

    Parameters
    ----------
    folder : str or path
        Where it is.
    mmap_mode : {"r", None}
        Whether to map the arrays or to read them.
    verify : bool or None
        Whether to check the arrays' content; ``None``: all of 16 MB, samples of more.

    Returns
    -------
    fields : dict
        The entries of index.json.
    arrays : dict of str to ndarray
        The arrays.
    """
    check_choice(mmap_mode, "mmap_mode", ("r", None))
    check_choice(verify, "verify", (True, False, None))
    folder, before = Path(folder), None
    while True:
        document = _checked(folder)
        try:
            arrays = _read_arrays(folder, document["arrays"], mmap_mode, verify)
            return {"own_ids": False, "n_added": document["n_samples_fit_"], **document}, arrays
        except FileNotFoundError as error:
            # A save may have deleted it since; but it never writes the same names twice.
            if document == before:
                raise ValueError(
                    f"{error.filename} is missing: save the index again, or copy its whole folder."
                ) from error
            before = document


def parse(folder):
    """Return the object in index.json if it is of this format, whatever its version."""
    path = folder / "index.json"
    try:
        with regular(path) as file:
            document = json.loads(file.read())
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(
            f"{path} is not an index of HammingRetriever, or is damaged: give a folder that "
            "HammingRetriever.save has written, and save into a new one."
        )
    return document


def _checked(folder):
    """Return index.json if it is complete, of this version and consistent."""
    try:
        document = parse(folder)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(
            f"{folder} holds no index.json: give a folder that HammingRetriever.save has written."
        ) from error
    version = document.get("version")
    if isinstance(version, int) and version > VERSION:
        raise ValueError(
            f"{folder} has version {version} of the format, this release reads versions up to "
            f"{VERSION}: upgrade scikit-hash."
        )
    damaged = ValueError(
        f"{folder / 'index.json'} is damaged or was changed: save the index again."
    )
    if type(version) is not int or version < 1 or document.get("sha256") != checksum(document):
        raise damaged
    if not (_is_typed(document) and _is_sound(document)):
        raise damaged  # with a checksum that fits: not written by `write_index`
    return document


def _is_typed(document):
    """Say whether all entries of index.json are there and of the right types."""
    arrays = document.get("arrays")
    return (
        _fits(document, _FIRST_ENTRIES if document["version"] == 1 else _ENTRIES)
        and all(isinstance(value, _SCALARS) for value in document["parameters"].values())
        and all(isinstance(name, str) for name in document["feature_names_in_"] or ())
        and all(isinstance(entry, dict) and _fits(entry, _ARRAY) for entry in arrays.values())
        and all(type(n) is int and n >= 0 for e in arrays.values() for n in e["shape"])
    )


def _fits(entries, types):
    return entries.keys() == types.keys() and all(
        # Not isinstance: True is not a number of rows.
        type(entries[name]) in (kinds if isinstance(kinds, tuple) else (kinds,))
        for name, kinds in types.items()
    )


def _is_sound(document):
    """Say whether the entries of the arrays fit the attributes, so that searches stay in bounds."""
    n_samples, n_columns = document["n_samples_fit_"], document["n_features_in_"]
    arrays, paired = dict(document["arrays"]), document["paired_"]
    n_bits, odd = divmod(n_columns, 2) if paired else (n_columns, 0)
    n_bytes = n_bits if document["packed_"] else -(-n_bits // 8)
    if odd or not 0 < n_bytes <= _LONGEST:
        return False
    none = to_words(np.empty((0, n_bytes), dtype=np.uint8))
    files = {name: NAMES.fullmatch(entry["file"]) for name, entry in arrays.items()}
    y, ids, vectors = (arrays.pop(name, None) for name in ("y", "ids", "vectors"))
    first, names = document["version"] == 1, document["feature_names_in_"]
    return (
        all(match and match[1] == name for name, match in files.items())
        and n_samples >= first
        and set(arrays) == ({"image", "text"} if paired else {"codes"})
        and all(entry["shape"] == [len(none), n_samples] for entry in arrays.values())
        and all(entry["dtype"] == none.dtype.newbyteorder("<").str for entry in arrays.values())
        and (y is None or (_is_plain(y["dtype"]) and y["shape"][:1] == [n_samples]))
        and (y is None or len(y["shape"]) <= 2)
        and (names is None or len(names) == n_columns)
        and min(1, n_samples) <= document["n_trained"] <= n_samples
        and (vectors is None or (not first and _are_sound_vectors(document, vectors)))
        and (ids is None if first else _are_sound_ids(document, ids))
    )


def _are_sound_vectors(document, vectors):
    """Say whether the entry of the vectors fits the attributes."""
    shape = vectors["shape"]
    return (
        vectors["dtype"] in ("<f2", "<f4", "<f8")
        and len(shape) == 2
        and shape[0] == document["n_samples_fit_"]
        and shape[1] > 0
        and not (document["paired_"] and shape[1] % 2)
    )


def _are_sound_ids(document, ids):
    """Say whether the entry of the ids, or None, fits the attributes."""
    own, n_samples, n_added = (document[name] for name in ("own_ids", "n_samples_fit_", "n_added"))
    if ids is None:
        return not own and n_added == n_samples
    typed = ids["dtype"] == "<i8" or (own and _STRINGS.fullmatch(ids["dtype"]))
    return (
        bool(typed)
        and _is_plain(ids["dtype"])
        and ids["shape"] == [n_samples]
        and n_samples <= n_added <= _MOST_ADDED
    )


def _is_plain(dtype):
    """Say whether a string names the dtype of labels, just as NumPy writes it."""
    if not _LABELS.fullmatch(dtype):
        return False
    try:
        return np.dtype(dtype).str == dtype
    except (TypeError, ValueError):
        return False


def _read_arrays(folder, entries, mmap_mode, verify):
    total = sum(entry["bytes"] for entry in entries.values())
    if verify is None:
        verify = "whole" if mmap_mode is None or total <= _WHOLE else "sampled"
    return {
        name: _read_array(folder / entry["file"], entry, mmap_mode, verify)
        for name, entry in entries.items()
    }


def _read_array(path, entry, mmap_mode, verify):
    """Check a file against its entry, then map or read the array; nothing is parsed."""
    with regular(path) as file:
        n_bytes = file.seek(0, os.SEEK_END)
        if n_bytes != entry["bytes"]:
            raise ValueError(
                f"{path} is truncated or of another size, got {n_bytes} bytes instead of "
                f"{entry['bytes']}: save the index again."
            )
        sound = verify is False or (
            sampled_sha256(file, n_bytes) == entry["sampled_sha256"]
            if verify == "sampled"
            else sha256(file) == entry["sha256"]
        )
        dtype, shape = np.dtype(entry["dtype"]), tuple(entry["shape"])
        start = _start(file, dtype, shape)
        if not sound or start is None or start + prod(shape) * dtype.itemsize != n_bytes:
            raise ValueError(f"{path} is damaged or was changed: save the index again.")
        if mmap_mode == "r":
            return np.memmap(file, dtype, "r", offset=start, shape=shape)
        file.seek(start)
        return np.fromfile(file, dtype, count=prod(shape)).reshape(shape)


def _start(file, dtype, shape):
    """Return where the data of a ``.npy`` file begin, None if its header is not the one it must be.

    The header is text that follows from dtype and shape, but for the blanks at its end.
    """
    file.seek(0)
    start = len(_MAGIC) + 2
    length = int.from_bytes(file.read(start)[len(_MAGIC) :], "little")
    expected = f"{{'descr': {dtype.str!r}, 'fortran_order': False, 'shape': {shape}, }}"
    file.seek(0)
    found = file.read(start + length)
    header = found[start:].rstrip(b" \n")
    sound = found.startswith(_MAGIC) and header == expected.encode() and found[-1:] == b"\n"
    return start + length if sound else None


def canonical(document):
    """Return the bytes that the checksum of index.json is of."""
    try:
        return json.dumps(document, sort_keys=True, separators=(",", ":"), default=plain).encode()
    except TypeError as error:
        raise ValueError(
            f"a parameter cannot be saved, {error}: set it to a number, a string or None."
        ) from error


def plain(value):
    """Turn a number of NumPy into one of JSON."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} is not valid JSON")


def checksum(document):
    """Return the checksum of index.json."""
    entries = {key: value for key, value in document.items() if key != "sha256"}
    return hashlib.sha256(canonical(entries)).hexdigest()


def sha256(file):
    """Return the checksum of a whole file."""
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()


def sampled_sha256(file, n_bytes):
    """Return the checksum of blocks of a file, which costs the same for any size."""
    if n_bytes <= _BLOCKS * _BLOCK:
        return sha256(file)
    digest = hashlib.sha256()
    for block in range(_BLOCKS):
        file.seek(block * (n_bytes - _BLOCK) // (_BLOCKS - 1))
        digest.update(file.read(_BLOCK))
    return digest.hexdigest()
