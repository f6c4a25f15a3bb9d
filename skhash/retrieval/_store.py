"""An index in a folder, without pickle. Format version 1.

The folder holds ``index.json`` and arrays; other files are no part of the index.

**Arrays** are ``.npy`` files (NEP 1), little-endian, in C order, without pickled objects. Their
names are ``<array>-<16 hexadecimal digits>.npy``, where the digits are drawn at random by each
save, and ``<array>`` is one of

* ``codes``, or ``image`` and ``text`` if the index is paired: unsigned words of shape
  ``(n_words, n_samples)``. The packed bytes of a code (bit ``j`` is bit ``j % 8`` of byte
  ``j // 8``) are padded with zeros and cut into ``n_words`` words of 8 bytes, lowest byte first. A
  code of at most 4 bytes is one word of 1, 2 or 4 bytes. Word ``w`` of code ``i`` is at ``[w, i]``.
* ``y``, where there are labels: of shape ``(n_samples,)`` or ``(n_samples, n_labels)``; numbers,
  booleans, dates or strings of fixed width.

**index.json** is an object in UTF-8 of

* ``format``: ``"skhash.HammingRetriever"``; ``version``: ``1``; ``written_by``: the release;
* ``parameters``: those of the constructor; ``n_samples_fit_``, ``n_features_in_``, ``paired_``,
  ``packed_``, and ``feature_names_in_`` (or null): the attributes of these names;
* ``n_trained``, only where codes were appended: how many, from the first, train inverted lists;
* ``arrays``: for each array its ``file``, ``shape``, ``dtype``, ``bytes`` (size of the file),
  ``sha256`` of the file, and ``sampled_sha256``: that of 64 blocks of 4096 bytes, one after the
  other, of which block ``i`` starts at byte ``i * (bytes - 4096) // 63``; of the whole file if it
  has no more bytes than these blocks;
* ``sha256``: that of the object without this entry, as JSON in ASCII with sorted keys and without
  spaces.

**Writing**: each file is written under another name (``.tmp`` appended), flushed to the disk and
renamed, index.json last. Then arrays that it does not name are deleted. So a crash leaves the old
index or the new one. **Reading**: whoever finds an array gone reads index.json again.
"""

import hashlib
import json
import os
import re
from contextlib import suppress
from pathlib import Path

import numpy as np

from .._checks import check_choice
from .._popcount import to_words

FORMAT, VERSION = "skhash.HammingRetriever", 1
NAMES = re.compile(r"(codes|image|text|y)-[0-9a-f]{16}\.npy")
_BLOCKS, _BLOCK = 64, 4096
_WHOLE = 16 << 20  # bytes of arrays that are checked entirely unless told otherwise


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
            return document, _read_arrays(folder, document["arrays"], mmap_mode, verify)
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
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(
            f"{path} is no index of HammingRetriever, or a damaged one: give a folder that "
            "HammingRetriever.save has written, and save into a new one."
        )
    return document


def _checked(folder):
    """Return index.json if it is whole, of this version, and says nothing impossible."""
    try:
        document = parse(folder)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(
            f"{folder} holds no index.json: give a folder that HammingRetriever.save has written."
        ) from error
    version = document.get("version")
    if isinstance(version, int) and version > VERSION:
        raise ValueError(
            f"{folder} has version {version} of the format, this release reads version {VERSION}: "
            "upgrade scikit-hash."
        )
    damaged = ValueError(
        f"{folder / 'index.json'} is damaged or was changed: save the index again."
    )
    if version != VERSION or document.get("sha256") != checksum(document):
        raise damaged
    try:
        sound = _is_sound(document)
    except (KeyError, TypeError, ValueError, AttributeError):
        sound = False
    if not sound:  # with a checksum that fits: not written by `write_index`
        raise damaged
    return document


def _is_sound(document):
    """Say whether the entries of the arrays fit the attributes, so that no search can go astray."""
    n_samples, n_columns = document["n_samples_fit_"], document["n_features_in_"]
    arrays, paired = dict(document["arrays"]), document["paired_"]
    n_columns //= 2 if paired else 1
    n_bytes = n_columns if document["packed_"] else -(-n_columns // 8)
    none = to_words(np.empty((0, n_bytes), dtype=np.uint8))
    files = {name: NAMES.fullmatch(entry["file"]) for name, entry in arrays.items()}
    y, names = arrays.pop("y", None), document["feature_names_in_"]
    n_trained = document.get("n_trained", n_samples)
    return (
        all(match and match[1] == name for name, match in files.items())
        and set(arrays) == ({"image", "text"} if paired else {"codes"})
        and all(entry["shape"] == [len(none), n_samples] for entry in arrays.values())
        and all(entry["dtype"] == none.dtype.newbyteorder("<").str for entry in arrays.values())
        and (y is None or y["shape"][:1] == [n_samples])
        and (names is None or len(names) == document["n_features_in_"])
        and (type(n_trained) is int and 0 < n_trained <= n_samples)
        and isinstance(document["parameters"], dict)
    )


def _read_arrays(folder, entries, mmap_mode, verify):
    total = sum(entry["bytes"] for entry in entries.values())
    if verify is None:
        verify = "whole" if mmap_mode is None or total <= _WHOLE else "sampled"
    return {
        name: _read_array(folder / entry["file"], entry, mmap_mode, verify)
        for name, entry in entries.items()
    }


def _read_array(path, entry, mmap_mode, verify):
    with path.open("rb") as file:
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
    array = None
    with suppress(ValueError, EOFError):
        array = np.load(path, mmap_mode=mmap_mode, allow_pickle=False)
    described = (
        isinstance(array, np.ndarray)
        and list(array.shape) == entry["shape"]
        and array.dtype.str == entry["dtype"]
        and array.flags.c_contiguous
    )
    if not (sound and described):
        raise ValueError(f"{path} is damaged or was changed: save the index again.")
    return array


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
    raise TypeError(f"{value!r} is no JSON")


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
