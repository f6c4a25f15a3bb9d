"""Changes of a saved index that are on disk before they are made in memory. Format version 1.

The journal of an index lies beside it, ``journal-<16 hexadecimal digits>.log``; the digits are the
first of the ``sha256`` in index.json, so that a journal belongs to one saved state and is void, and
deleted, once another is saved. It is

* 8 bytes ``SKHASHJ1``, and the 32 bytes of that ``sha256``;
* records, one after the other: 8 bytes with the length of the content, lowest byte first; 4 bytes
  of CRC-32 of these, likewise; the 32 bytes of SHA-256 of the checksum before (of the 32 bytes
  above, for the first) and the content; the content.

The **content** of a record is a line of JSON that ends with a line feed, then the bytes of arrays.
The line is an object of ``operation`` (``"append"``, ``"update"`` or ``"remove"``) and ``arrays``,
a list of ``[name, dtype, shape]`` in the order of the bytes: words as in the saved index
(``codes``, or ``image`` and ``text``), ``y``, ``ids``, ``vectors``; little-endian, in C order.

**Writing**: one writer at a time, by the lock of the folder. A record is written at the end and
flushed to the disk before the change counts as made. **Reading**: a last record that is incomplete,
or whose checksum does not fit, was never acknowledged and is not read; the next writer overwrites
it. So are zeros, which some file systems leave after a power failure. A record that does not fit
and has others behind it is damage.
"""

import hashlib
import json
import os
import re
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from zlib import crc32

import numpy as np

from .._files import appended, only_writer, regular
from ._store import parse

JOURNALS = re.compile(r"journal-([0-9a-f]{16})\.log")
OPERATIONS = ("append", "update", "remove")
_MAGIC = b"SKHASHJ1"
_START = len(_MAGIC) + 32
_LENGTH = 8 + 4
_HEAD = _LENGTH + 32


@dataclass(frozen=True)
class Journal:
    """The journal of a saved index, up to the record that the index in memory has seen.

    Parameters
    ----------
    folder : Path
        The folder of the index.
    state : str
        The ``sha256`` of its index.json.
    end : int, default=0
        Where the records end that have been read or written, in bytes; 0 where there is no file.
    checksum : bytes
        That of the last of these records.
    """

    folder: Path
    state: str
    end: int = 0
    checksum: bytes = b""

    @property
    def path(self):
        """The file, which may not exist yet."""
        return self.folder / journal_name(self.state)

    def read(self):
        """Return the records behind `end` as a list of (operation, arrays), and where they end.

        Returns
        -------
        records : list of (str, dict of str to ndarray)
            What was done, in order.
        Journal
            The journal, with `end` behind these records.
        """
        try:
            with regular(self.path) as file:
                start = file.read(_START)
                if not self.end and (len(start) < _START or not any(start)):
                    return [], self  # its writer was killed before the first record
                if start != self._start() or file.seek(0, os.SEEK_END) < self.end:
                    raise self.damaged()
                file.seek(self.end or _START)
                content = memoryview(file.read())
        except FileNotFoundError:
            if self.end:
                raise self.damaged() from None
            return [], self
        found, end, checksum = [], 0, self.checksum or start[len(_MAGIC) :]
        while end + _HEAD <= len(content):
            head = bytes(content[end : end + _HEAD])
            length = int.from_bytes(head[:8], "little")
            stop = end + _HEAD + length
            if head[:_LENGTH] != _length(length) and any(head):
                raise self.damaged()
            if not length or stop > len(content):
                break
            record, sealed = content[end + _HEAD : stop], head[_LENGTH:]
            if _seal(checksum, record) != sealed:
                if stop < len(content):
                    raise self.damaged()
                break
            found.append(self._decode(record))
            end, checksum = stop, sealed
        if not found:
            return [], self
        return found, replace(self, end=(self.end or _START) + end, checksum=checksum)

    def append(self, operation, arrays):
        """Write a record; return the journal at its end.

        Parameters
        ----------
        operation : {"append", "update", "remove"}
            What is done.
        arrays : dict of str to array
            What it is done with.

        Returns
        -------
        Journal
            Its end is behind the record, which is on the disk.

        Raises
        ------
        ValueError
            If the saved index or the journal has been changed since they were read.
        OSError
            If the record cannot be written; the journal is as it was.
        """
        record = _encode(operation, arrays)
        if not self.folder.is_dir():
            raise FileNotFoundError(
                f"{self.folder} is gone: save the index in a new folder, and open it there."
            )
        with only_writer(self.folder) as sync_folder:
            self.check_unchanged()
            checksum = self.checksum or self._start()[len(_MAGIC) :]
            sealed = _seal(checksum, record)
            with appended(self.path, self.end) as file:
                if not self.end:
                    file.write(self._start())
                file.write(_length(len(record)) + sealed)
                file.write(record)
                stop = file.tell()
            if not self.end:
                sync_folder()
        return replace(self, end=stop, checksum=sealed)

    def _start(self):
        return _MAGIC + bytes.fromhex(self.state)

    def is_current(self):
        """Say whether the index in the folder is still the one that the journal belongs to."""
        try:
            return parse(self.folder).get("sha256") == self.state
        except (OSError, ValueError):
            return False

    def check_unchanged(self):
        """Raise an error if the saved index or the journal has changed; under the folder's lock."""
        if not self.is_current() or self.read()[0]:
            raise ValueError(
                f"the index in {self.folder} has been changed by another writer since it was "
                "opened: open it again and repeat the change."
            )

    def _decode(self, record):
        line, _, content = bytes(record).partition(b"\n")
        try:
            message = json.loads(line)
            operation, entries = message["operation"], message["arrays"]
            arrays, start = {}, 0
            for name, dtype, shape in entries:
                size = prod(shape) * np.dtype(dtype).itemsize
                part = content[start : start + size]
                if np.dtype(dtype).hasobject or any(type(n) is not int or n < 0 for n in shape):
                    raise ValueError(name)
                native = np.dtype(dtype).newbyteorder("=")
                arrays[name] = np.frombuffer(part, dtype).reshape(shape).astype(native)
                start += size
            if operation not in OPERATIONS or start != len(content):
                raise ValueError(operation)
        except (KeyError, TypeError, ValueError) as error:
            raise self.damaged() from error
        return operation, arrays

    def damaged(self):
        """Return the error that says so."""
        return ValueError(
            f"{self.path} is damaged or was changed: restore it from a copy, or delete it to open "
            "the index as it was saved, without the changes since."
        )


def journal_name(state):
    """Return the name of the journal of a saved state, of which `state` is the ``sha256``."""
    return f"journal-{state[:16]}.log"


def _length(n_bytes):
    length = n_bytes.to_bytes(8, "little")
    return length + crc32(length).to_bytes(4, "little")


def _seal(before, record):
    digest = hashlib.sha256(before)
    digest.update(record)
    return digest.digest()


def _encode(operation, arrays):
    plain = {
        name: np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        for name, array in arrays.items()
    }
    entries = [[name, array.dtype.str, list(array.shape)] for name, array in plain.items()]
    line = json.dumps({"operation": operation, "arrays": entries}).encode()
    return b"\n".join([line, b"".join(array.tobytes() for array in plain.values())])
