"""What a binary code is, in one place.

A code of ``n_bits`` bits can be held in four formats. The dtype names the format:

========== ======== ============================== ===========================================
format     dtype    shape                          values
========== ======== ============================== ===========================================
``bits``   bool     (n_samples, n_bits)            ``True`` where the real code is >= 0
``packed`` uint8    (n_samples, ceil(n_bits / 8))  eight bits a byte
``signs``  int8     (n_samples, n_bits)            +1 or -1
``real``   float32  (n_samples, n_bits)            the tanh output, in [-1, 1]
========== ======== ============================== ===========================================

The container does not matter: arrays, nested lists and tables (nullable, Arrow, categorical or
object columns included) are converted by the type of their values. Other signed integers count as
``signs`` and other floats as ``real``. Ambiguous values raise a TypeError that says what to do:
integers other than +1 and -1, floats that are all whole numbers from 0 on (zeros and ones, packed
bytes), bytes of more than 8 columns that are all 0 or 1 (unpacked bits), and columns of different
types. Missing values, NaN and infinity raise a ValueError.

*Bit order*: bit ``j`` of a code is bit ``j % 8`` of byte ``j // 8``, lowest first, as in faiss's
``fvecs2bitvecs``. *Padding*: where ``n_bits`` is not a multiple of 8, the highest bits of the last
byte are 0; they add nothing to a Hamming distance, and :func:`unpack_codes` drops them. *Sign of
zero*: 0 counts as +1.

Three traps of doing arithmetic on codes with NumPy: the int8 dot product of a 128-bit code with
itself wraps to -128, ``bool @ bool`` is a logical OR, and sums of uint8 zeros and ones wrap at 256.
"""

from typing import Any

import numpy as np

from ._inputs.arrays import plain_array
from ._inputs.checks import check_choice, check_integer

__all__ = ["code_format", "convert_codes", "pack_codes", "unpack_codes"]

FORMATS = {
    "bits": np.dtype(bool),
    "packed": np.dtype(np.uint8),
    "signs": np.dtype(np.int8),
    "real": np.dtype(np.float32),
}
_PART = 1 << 16  # values that are checked at a time


def read_codes(codes, *, packed=False):
    """Read codes from any container; every function that takes codes calls this once.

    Parameters
    ----------
    codes : array, nested list or dataframe of shape (n_samples, n_columns)
        The codes.
    packed : bool, default=False
        Whether bytes are known to be packed, and may be zeros and ones.

    Returns
    -------
    ndarray of shape (n_samples, n_columns), bool, uint8, int8 or float
        The codes; their dtype names the format. An array of these types is not copied.
    """
    array: Any = plain_array(codes)
    dtype = array.dtype
    if dtype == np.uint8:
        # Packed codes of this many bytes hold other values too, mostly in the first rows.
        if not packed and array.shape[1] > 8 and _every(array, lambda a: a <= 1) and array.any():
            raise TypeError(
                f"uint8 codes of {array.shape[1]} columns that hold only 0 and 1 look like bits "
                "that are not packed: use codes.astype(bool) if a column is a bit, or "
                "skhash.codes.unpack_codes(codes) if it is a byte."
            )
    elif dtype.kind in "iu":
        if dtype.kind == "u" or not _every(array, lambda a: np.abs(a) == 1):
            raise TypeError(
                f"{dtype} codes must hold only +1 and -1: use astype(bool) for zeros and ones, "
                "astype(np.uint8) for packed bytes."
            )
        return array.astype(np.int8, copy=False)
    elif dtype.kind == "f":
        check_finite(array)
        whole = _every(array, lambda a: (a >= 0) & (a == np.rint(a)))
        if whole and not _every(array, lambda a: a == 1):  # which is True and +1 alike
            raise TypeError(
                f"{dtype} codes that hold only whole numbers from 0 on may be of three formats: "
                "use astype(bool) for zeros and ones, astype(np.uint8) for packed bytes, codes / 2 "
                "for real vectors."
            )
    elif dtype.kind == "c":
        raise ValueError(f"Complex data not supported: codes are real or binary, got {dtype}.")
    elif dtype.kind != "b":
        raise TypeError(
            "codes must be bool (bits), uint8 (packed), +1 and -1 as int8 (signs) or float (real), "
            f"got {dtype}."
        )
    return array


def _every(array, test):
    """Say whether all values pass a test, part by part, until a part fails."""
    most = max(1, _PART // max(1, array.shape[1]))
    row, step = 0, -(-most // 64)
    while row < len(array):
        if not test(array[row : row + step]).all():
            return False
        row, step = row + step, min(2 * step, most)
    return True


def check_finite(array):
    """Return real codes if all of them are finite; raise a ValueError otherwise."""
    if not _every(array, np.isfinite):
        raise ValueError("real codes must be finite, got NaN or infinity: remove these rows.")
    return array


def format_of(codes):
    """Name the format of codes that have been read."""
    kinds = {"b": "bits", "u": "packed", "i": "signs", "f": "real"}
    return kinds[codes.dtype.kind]


def count_bits(codes, n_bits=None):
    """Return the length in bits of codes that have been read, and check it against `n_bits`."""
    packed, width = format_of(codes) == "packed", codes.shape[1]
    if n_bits is None:
        return 8 * width if packed else width
    n_bits = check_integer(n_bits, "n_bits", 0)
    if packed and -(-n_bits // 8) != width:
        raise ValueError(
            f"{width} bytes hold {max(8 * width - 7, 0)} to {8 * width} bits, got n_bits={n_bits}."
        )
    if packed and n_bits % 8 and (codes[:, -1] >> n_bits % 8).any():
        raise ValueError(f"the codes have bits beyond n_bits={n_bits} set: give their length.")
    if not packed and n_bits != width:
        raise ValueError(f"codes of {width} columns have {width} bits, got n_bits={n_bits}.")
    return n_bits


def pack_read(codes):
    """Pack codes that have been read, or a part of them."""
    form = format_of(codes)
    if form == "packed":
        return codes
    return np.packbits(codes if form == "bits" else codes >= 0, axis=1, bitorder="little")


def code_format(codes):
    """Return the format of codes, which is determined by their dtype.

    Parameters
    ----------
    codes : array-like or dataframe of shape (n_samples, n_columns)
        Codes in any of the four formats.

    Returns
    -------
    str
        ``"bits"``, ``"packed"``, ``"signs"`` or ``"real"``.

    Raises
    ------
    TypeError
        If the dtype or the values do not determine the format.
    ValueError
        If the codes are not two-dimensional, or values are missing or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.codes import code_format
    >>> code_format(np.zeros((1, 16), dtype=bool))
    'bits'
    """
    return format_of(read_codes(codes))


def pack_codes(codes):
    """Pack codes of any format into bytes.

    Parameters
    ----------
    codes : array-like or dataframe of shape (n_samples, n_bits), bool, int8 or float
        The codes. An array that is already packed (uint8) is returned unchanged.

    Returns
    -------
    ndarray of shape (n_samples, ceil(n_bits / 8)), uint8
        The packed codes, lowest bit first, padded with zeros.

    Raises
    ------
    TypeError
        If the dtype or the values do not determine the format.
    ValueError
        If the codes are not two-dimensional, or values are missing or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.codes import pack_codes
    >>> pack_codes(np.array([[1, -1, -1, 1]], dtype=np.int8))
    array([[9]], dtype=uint8)
    """
    return pack_read(read_codes(codes))


def unpack_codes(codes, n_bits=None):
    """Unpack bytes into bits.

    Parameters
    ----------
    codes : array-like or dataframe of shape (n_samples, ceil(n_bits / 8)), uint8
        The packed codes.
    n_bits : int, default=None
        Length of a code in bits. ``None`` means 8 bits for each byte.

    Returns
    -------
    ndarray of shape (n_samples, n_bits), bool
        The bits.

    Raises
    ------
    TypeError
        If `codes` is not uint8, or `n_bits` is not an integer.
    ValueError
        If `n_bits` does not fit the number of bytes.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.codes import unpack_codes
    >>> unpack_codes(np.array([[9]], dtype=np.uint8), n_bits=4)
    array([[ True, False, False,  True]])
    """
    codes = read_codes(codes, packed=True)
    if format_of(codes) != "packed":
        raise TypeError(f"packed codes are uint8, got {codes.dtype}: only bytes can be unpacked.")
    return _unpack(codes, count_bits(codes, n_bits))


def _unpack(codes, n_bits):
    return np.unpackbits(codes, axis=1, count=n_bits, bitorder="little").view(bool)


def convert_codes(codes, output, *, n_bits=None):
    """Convert codes to another format.

    Parameters
    ----------
    codes : array-like or dataframe of shape (n_samples, n_columns)
        Codes in any of the four formats.
    output : {"bits", "packed", "signs", "real"}
        Format of the result. Binary codes become float32 values +1 and -1 in the format ``"real"``.
    n_bits : int, default=None
        Length of a code in bits. ``None`` means 8 bits for each byte of packed codes.

    Returns
    -------
    ndarray
        The codes in the format `output`.

    Raises
    ------
    TypeError
        If the dtype or the values do not determine the format.
    ValueError
        If `output` is not one of the four, or `n_bits` does not fit the codes.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.codes import convert_codes
    >>> convert_codes(np.array([[True, False]]), "signs")
    array([[ 1, -1]], dtype=int8)
    """
    check_choice(output, "output", FORMATS)
    codes = read_codes(codes, packed=n_bits is not None)
    n_bits, form = count_bits(codes, n_bits), format_of(codes)
    if form == output:
        return codes.astype(FORMATS[form], copy=False)
    if output == "packed":
        return pack_read(codes)
    bits = _unpack(codes, n_bits) if form == "packed" else codes if form == "bits" else codes >= 0
    if output == "bits":
        return bits
    signs = bits.astype(np.int8)
    signs *= 2
    signs -= 1
    return signs.astype(FORMATS[output], copy=False)
