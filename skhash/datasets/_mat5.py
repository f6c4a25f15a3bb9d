"""Read real matrices of MATLAB v5 files, each tag checked before it is used.

SciPy's reader trusts the tags: one flipped bit can end the interpreter. The format is described in
"MAT-File Format" by The MathWorks.
"""

import math
import zlib
from pathlib import Path

import numpy as np

from .._inputs.messages import shorten

# Types of stored values, and classes of arrays, by their numbers in the format.
TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
CLASSES = {
    6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"
}  # fmt: skip
INT8, INT32, UINT32, MATRIX, COMPRESSED = 1, 5, 6, 14, 15
COMPLEX = 0x0800
HEAD = 4096  # bytes in which the flags, the shape and the name of a matrix must lie
MAX_EXPANDED = 2**30  # bytes of a compressed matrix


def read_mat5(path, names):
    """Read matrices of a MATLAB v5 file.

    Parameters
    ----------
    path : path-like
        The file.
    names : sequence of str
        The variables; others are passed over.

    Returns
    -------
    dict of str to ndarray of shape (n_rows, n_columns)
        Those that are there, of the class that they have in MATLAB.

    Raises
    ------
    ValueError
        If the file is not of version 5, is damaged, or a variable is not a real dense matrix, is
        stored twice, or is compressed from more than 1 GiB.
    """
    content = memoryview(Path(path).read_bytes())
    order = {b"IM": "<", b"MI": ">"}.get(bytes(content[126:128]))
    if order is None or content[124:126].tobytes() != (b"\0\1" if order == "<" else b"\1\0"):
        raise ValueError("it lacks the header of MATLAB v5 (option -v6 or -v7 of save)")
    matrices, position = {}, 128
    while position < len(content):
        kind, element, position = _element(content, position, order, may_be_small=False)
        if kind == COMPRESSED:
            element = _expand(element, order, names)
        elif kind != MATRIX:
            raise ValueError(f"an element of type {kind} stands where a variable must be")
        name, matrix = _matrix(element, order, names)
        if name in matrices:
            raise ValueError(f"it holds {name} twice")
        if matrix is not None:
            matrices[name] = matrix
    return matrices


def _element(content, position, order, may_be_small=True):
    """Return the type and the content of an element, and where the next one begins."""
    kind, size = _numbers(content, position, order)
    small = kind >> 16
    if small and may_be_small:
        if small > 4:
            raise ValueError(f"a small element at byte {position} has {small} bytes, more than 4")
        return kind & 0xFFFF, content[position + 4 : position + 4 + small], position + 8
    end = position + 8 + size
    if end > len(content):
        raise ValueError(f"an element at byte {position} goes beyond the end, it has {size} bytes")
    # All but compressed elements are filled up to 8 bytes.
    return kind, content[position + 8 : end], end if kind == COMPRESSED else end + -size % 8


def _numbers(content, position, order):
    if position + 8 > len(content):
        raise ValueError(f"it ends at byte {len(content)}, within a tag")
    return np.frombuffer(content, f"{order}u4", 2, position).tolist()


def _expand(element, order, names):
    """Return the matrix of a compressed element, or its head where it is none of those wanted."""
    head = memoryview(zlib.decompressobj().decompress(element, HEAD))
    kind, size = _numbers(head, 0, order)
    if kind != MATRIX:
        raise ValueError(f"an element of type {kind} is compressed, but is not a variable")
    if _head(head[8:], order)[0] not in names:
        return head[8:]
    if size > MAX_EXPANDED:
        raise ValueError(f"a variable is compressed from {size} bytes, more than {MAX_EXPANDED}")
    expander = zlib.decompressobj()
    content = expander.decompress(element, size + 9)  # one byte more shows that there are more
    if len(content) != size + 8 or not expander.eof:
        raise ValueError(f"a compressed variable does not have the {size} bytes that it declares")
    return memoryview(content)[8:]


def _head(element, order):
    """Return the name, class, flags and shape of a matrix, and where its values begin."""
    kind, flags, position = _element(element, 0, order)
    if kind != UINT32 or len(flags) != 8:
        raise ValueError("a variable does not begin with its flags")
    flags = _numbers(flags, 0, order)[0]
    if flags & 0xFF not in range(1, 16):  # functions and objects have neither shape nor name
        return None, 0, 0, (), 0
    kind, shape, position = _element(element, position, order)
    if kind != INT32 or len(shape) % 4 or len(shape) < 8:
        raise ValueError("a variable has no shape")
    kind, name, position = _element(element, position, order)
    if kind != INT8:
        raise ValueError("a variable has no name")
    shape = tuple(np.frombuffer(shape, f"{order}i4").tolist())
    return bytes(name).decode("latin-1"), flags & 0xFF, flags, shape, position


def _matrix(element, order, names):
    """Return the name of a variable and its values, None if they are not wanted."""
    name, number, flags, shape, position = _head(element, order)
    if name not in names:
        return name, None
    if number not in CLASSES or flags & COMPLEX or len(shape) != 2 or min(shape) < 0:
        raise ValueError(f"{shorten(name)} is not a real matrix, its class is {number}")
    kind, values, position = _element(element, position, order)
    if kind not in TYPES:
        raise ValueError(f"{shorten(name)} has values of type {kind}, which are not numbers")
    stored = np.dtype(TYPES[kind]).newbyteorder(order)
    if len(values) != math.prod(shape) * stored.itemsize or position < len(element):
        raise ValueError(f"{shorten(name)} has {len(values)} bytes of {stored} for shape {shape}")
    matrix = np.frombuffer(values, stored).reshape(shape, order="F")
    return name, matrix.astype(CLASSES[number])
