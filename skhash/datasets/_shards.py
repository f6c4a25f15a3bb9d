"""Read tar shards that may be damaged or hostile: no member is lost silently."""

import os
import posixpath
import sys
import tarfile
import unicodedata
from importlib import import_module
from typing import IO, cast

from .._inputs.messages import cut

IMAGE_SUFFIXES = {"jpg", "jpeg", "png", "webp", "gif", "bmp", "ppm", "tif", "tiff"}
ALWAYS = 64 * 2**20  # bytes that a shard may hold, however small its file is
COMPRESSIONS = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bz2",
    b"\xfd7zXZ": "lzma",
    b"\x28\xb5\x2f\xfd": "compression.zstd",  # since Python 3.14
}


def read_shard(path, kinds, max_expansion):
    """Read the samples of a tar file.

    Parameters
    ----------
    path : pathlib.Path
        The file, plain or compressed.
    kinds : set of str
        What to read: ``"image"``, ``"txt"``, ``"json"``, ``"cls"``.
    max_expansion : float
        How many times its size it may hold.

    Returns
    -------
    dict of str to tuple of (dict of str to bytes, list of str)
        For each sample, in the shard's order, the contents that were read, by their kind, and the
        names of the members that were not.

    Raises
    ------
    ValueError
        If the file is damaged, holds too much, or a sample has two members of a kind.
    """
    try:
        limit = int(min(max(ALWAYS, max_expansion * os.path.getsize(path)), sys.maxsize - 1))
        with _open(path) as file:
            return _read(_Limited(file, limit), kinds)
    except Exception as error:  # tarfile and each of the decompressors raise their own
        raise ValueError(
            f"the shard {path} cannot be read ({type(error).__name__}: {cut(error)}): replace it."
        ) from error


def _open(path):
    with open(path, "rb") as file:
        start = file.read(6)
    module = next((COMPRESSIONS[mark] for mark in COMPRESSIONS if start.startswith(mark)), "io")
    return import_module(module).open(path, "rb")


def _read(file, kinds):
    samples, longer, size = {}, {}, 0
    with tarfile.open(fileobj=file, mode="r:", tarinfo=_StrictMember) as shard:
        for member in shard:
            folder, name = posixpath.split(member.name)
            stem, _, suffix = name.partition(".")
            is_meta = stem.startswith("__") and stem.endswith("__")
            if member.isdir() or is_meta or not stem or not suffix:
                continue
            key, kind = _key(folder, stem), _kind(suffix)
            last = _kind(suffix.rpartition(".")[2])
            if "." in suffix and last in kinds:
                longer.setdefault((key, _key(folder, name.rpartition(".")[0])), {})[name] = last
                continue
            contents, others = samples.setdefault(key, ({}, []))
            if kind not in kinds or not member.isreg():
                others.append(name if member.isreg() else f"{name} (a link or device)")
                continue
            if kind in contents:
                raise ValueError(f"its sample {stem} has a second {kind}, {member.name}")
            size += member.size
            file.check(size)  # a sparse member holds more than the file
            contents[kind] = cast(IO, shard.extractfile(member)).read()  # it is a regular file
    while chunk := file.read(2**20):  # to the end, where compressed files have their checksum
        if chunk.strip(b"\0"):
            raise ValueError("it goes on after its end: unpack it, and write one shard again")
    for (key, own_key), names in longer.items():
        # A name with a dot in it is the name of another sample.
        is_pair = "image" in names.values() and not {"txt", "json"}.isdisjoint(names.values())
        samples.setdefault(own_key if is_pair else key, ({}, []))[1].extend(names)
    return samples


def _key(folder, stem):
    return unicodedata.normalize("NFC", posixpath.normpath(posixpath.join(folder, stem)))


def _kind(suffix):
    suffix = suffix.lower()
    return "image" if suffix in IMAGE_SUFFIXES else suffix


class _StrictMember(tarfile.TarInfo):
    """A member whose broken header is an error, which tarfile would treat as the end."""

    @classmethod
    def fromtarfile(cls, tarfile_):
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.EOFHeaderError:
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(
                f"no member and no end of the archive where one must be, {error}"
            ) from error


class _Limited:
    """A file, uncompressed, that ends with an error where it holds too much."""

    def __init__(self, file, limit):
        self.file, self.limit = file, limit

    def check(self, size):
        if size > self.limit:
            raise ValueError(
                f"it holds more than {self.limit} bytes, many times its own size: unpack it "
                "if you trust it, or set max_expansion"
            )

    def tell(self):
        return self.file.tell()

    def seek(self, position):
        self.check(position)
        return self.file.seek(position)

    def read(self, size):
        position = self.file.tell()
        # Nothing beyond the limit is read, whatever size a header states.
        content = self.file.read(min(max(size, 0), self.limit + 1 - position))
        self.check(position + len(content))
        return content
