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

*Bit order*: bit ``j`` of a code is bit ``j % 8`` of byte ``j // 8``, lowest first, as in faiss's
``fvecs2bitvecs``. *Padding*: where ``n_bits`` is no multiple of 8, the highest bits of the last
byte are 0; they add nothing to a Hamming distance, and :func:`unpack_codes` drops them. *Sign of
zero*: 0 counts as +1.

Three traps of doing arithmetic on codes with NumPy: the int8 dot product of a 128-bit code with
itself wraps to -128, ``bool @ bool`` is a logical OR, and sums of uint8 zeros and ones wrap at 256.
"""

import numpy as np

from ._checks import check_choice, check_integer

__all__ = ["code_format", "convert_codes", "pack_codes", "unpack_codes"]

FORMATS = {
    "bits": np.dtype(bool),
    "packed": np.dtype(np.uint8),
    "signs": np.dtype(np.int8),
    "real": np.dtype(np.float32),
}


def code_format(codes):
    """Name the format of an array of codes, which its dtype decides.

    Parameters
    ----------
    codes : ndarray of shape (n_samples, n_columns)
        Codes in any of the four formats; float64 counts as ``"real"``.

    Returns
    -------
    str
        ``"bits"``, ``"packed"``, ``"signs"`` or ``"real"``.

    Raises
    ------
    TypeError
        If the dtype names no format.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.codes import code_format
    >>> code_format(np.zeros((1, 16), dtype=bool))
    'bits'
    """
    dtype = np.asarray(codes).dtype
    if dtype == np.float64:
        return "real"
    for name, known in FORMATS.items():
        if dtype == known:
            return name
    raise TypeError(
        f"codes must be bool (bits), uint8 (packed), int8 (signs) or float (real), got {dtype}: "
        "convert them with astype, for example codes.astype(bool) for zeros and ones."
    )


def _check_codes(codes):
    codes = np.asarray(codes)
    if codes.ndim != 2:
        raise ValueError(
            f"codes must have two dimensions (n_samples, n_columns), got {codes.ndim}: "
            "use codes.reshape(1, -1) for a single code."
        )
    form = code_format(codes)
    if form == "signs" and not np.all(np.abs(codes) == 1):
        raise ValueError(
            "int8 codes must hold only +1 and -1: use bool for zeros and ones, uint8 for packed "
            "bytes."
        )
    if form == "real" and not np.all(np.isfinite(codes)):
        raise ValueError("real codes must be finite, got NaN or infinity.")
    return codes, form


def pack_codes(codes):
    """Pack codes of any format into bytes.

    Parameters
    ----------
    codes : ndarray of shape (n_samples, n_bits), bool, int8 or float
        The codes; an array that is packed already (uint8) is returned as it is.

    Returns
    -------
    ndarray of shape (n_samples, ceil(n_bits / 8)), uint8
        The packed codes, lowest bit first, padded with zeros.

    Raises
    ------
    TypeError
        If the dtype names no format.
    ValueError
        If the array has not two dimensions, int8 values other than +1 and -1, or real values that
        are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.codes import pack_codes
    >>> pack_codes(np.array([[1, -1, -1, 1]], dtype=np.int8))
    array([[9]], dtype=uint8)
    """
    codes, form = _check_codes(codes)
    if form == "packed":
        return codes
    bits = codes if form == "bits" else codes >= 0
    return np.packbits(bits, axis=1, bitorder="little")


def unpack_codes(codes, n_bits=None):
    """Unpack bytes into bits.

    Parameters
    ----------
    codes : ndarray of shape (n_samples, ceil(n_bits / 8)), uint8
        The packed codes.
    n_bits : int, default=None
        Length of a code in bits; ``None`` means 8 a byte.

    Returns
    -------
    ndarray of shape (n_samples, n_bits), bool
        The bits.

    Raises
    ------
    TypeError
        If `codes` is not uint8 or `n_bits` no integer.
    ValueError
        If `n_bits` does not fit the number of bytes.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.codes import unpack_codes
    >>> unpack_codes(np.array([[9]], dtype=np.uint8), n_bits=4)
    array([[ True, False, False,  True]])
    """
    codes, form = _check_codes(codes)
    if form != "packed":
        raise TypeError(f"packed codes are uint8, got {codes.dtype}: only bytes can be unpacked.")
    n_bytes = codes.shape[1]
    if n_bits is None:
        n_bits = 8 * n_bytes
    n_bits = check_integer(n_bits, "n_bits", 0)
    if -(-n_bits // 8) != n_bytes:
        raise ValueError(
            f"{n_bytes} bytes hold {max(8 * n_bytes - 7, 0)} to {8 * n_bytes} bits, got "
            f"n_bits={n_bits}."
        )
    return np.unpackbits(codes, axis=1, count=n_bits, bitorder="little").view(bool)


def convert_codes(codes, output, *, n_bits=None):
    """Convert codes to another format.

    Parameters
    ----------
    codes : ndarray of shape (n_samples, n_columns)
        Codes in any of the four formats.
    output : {"bits", "packed", "signs", "real"}
        The format wanted. ``"real"`` of a binary code is +1 and -1 as float32.
    n_bits : int, default=None
        Length of packed codes in bits; ``None`` means 8 a byte.

    Returns
    -------
    ndarray
        The codes in that format.

    Raises
    ------
    ValueError
        If `output` is not one of the four.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.codes import convert_codes
    >>> convert_codes(np.array([[True, False]]), "signs")
    array([[ 1, -1]], dtype=int8)
    """
    check_choice(output, "output", FORMATS)
    if n_bits is not None:
        check_integer(n_bits, "n_bits", 0)
    codes, form = _check_codes(codes)
    if form == output:
        return codes.astype(FORMATS[form], copy=False)
    if output == "packed":
        return pack_codes(codes)
    bits = (
        unpack_codes(codes, n_bits) if form == "packed" else codes if form == "bits" else codes >= 0
    )
    if output == "bits":
        return bits
    signs = bits.astype(np.int8)
    signs *= 2
    signs -= 1
    return signs.astype(FORMATS[output], copy=False)
