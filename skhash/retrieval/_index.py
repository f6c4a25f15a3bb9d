"""What an index holds: its codes as words, and its labels."""

import numpy as np
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from .._blocks import named_columns, table_columns
from .._inputs.lazy import is_lazy
from .._inputs.mapped import is_mapped
from .._inputs.messages import MANY, warn
from .._ranking import relevance
from .._ranking.scorer import paired_codes
from ..codes import format_of, read_codes
from ._rows import parts as parts_of
from ._rows import words_of
from ._sharded import read_sharded

# Kinds of labels that NumPy would convert into one another.
_LABEL_KINDS = {
    **{"b": "booleans", "i": "integers", "u": "integers", "f": "floats", "c": "complex numbers"},
    **{"U": "strings", "O": "strings", "S": "bytes", "M": "dates", "m": "time spans"},
}


def read_blocks(index, X, *, reset, queries=False):
    """Return each block of codes in `X`.

    Parameters
    ----------
    index : HammingRetriever
        The index. If `reset`, its attributes ``paired_``, ``packed_`` and ``n_features_in_`` are
        set; otherwise the codes are checked against them.
    X : array-like or dataframe of shape (n_samples, n_columns)
        The codes.
    reset : bool
        Whether these are the first codes of the index.
    queries : bool, default=False
        Whether they are to be found, not kept: real codes may search packed ones, to re-rank them.

    Returns
    -------
    dict of str to ndarray of shape (n_samples, n_columns), bool, uint8, int8 or float
        The codes ``"codes"``, or of ``"image"`` and ``"text"``, or of one of these.
    """
    columns = table_columns(X)
    named = index.paired is not False and columns is not None
    blocks = list(named_columns(columns)) if named else []
    # read_codes checks the values: only empty arrays are left to refuse.
    codes = check_array(read_codes(X), ensure_all_finite=False, estimator=index)
    if blocks:
        X = codes  # without column names, so that texts may search an index of images
    packed = format_of(codes) == "packed"
    real = codes.dtype.kind == "f"
    if queries and index.packed_ and index.rerank == "asymmetric" and real:
        return _real_for_bytes(index, codes, columns, blocks)
    if reset:
        index.packed_ = packed
        index.paired_ = bool(index.paired) or len(blocks) == 2
    elif packed != index.packed_:
        kinds = {True: "packed codes (uint8)", False: "codes with one column per bit"}
        raise ValueError(
            f"the index holds {kinds[index.packed_]}, got {kinds[packed]}: "
            "convert them with skhash.codes.convert_codes."
        )
    if index.paired_ and not reset and len(blocks) == 1:
        if 2 * codes.shape[1] != index.n_features_in_:
            raise ValueError(
                f"the {blocks[0]} codes have {codes.shape[1]} columns, those of the index "
                f"{index.n_features_in_ // 2}: give codes of the same length."
            )
        parts = {blocks[0]: codes}
    else:
        if index.paired_ and not reset and 2 * codes.shape[1] == index.n_features_in_:
            raise ValueError(
                "codes of half the width of a paired index may be of images or of texts: name "
                "their columns with skhash.make_table(image=codes) or make_table(text=codes)."
            )
        if queries and not index.paired_ and codes.shape[1] == 2 * index.n_features_in_:
            raise ValueError(
                f"the queries have {codes.shape[1]} columns, the codes of the index "
                f"{index.n_features_in_}: transform of pairs returns both codes side by side; use "
                "encode_text or encode_image."
            )
        # Only the number and the names of the columns: the values have been checked.
        validate_data(index, X=X, skip_check_array=True, reset=reset)  # pyright: ignore[reportArgumentType]
        parts = paired_codes(codes, columns) if index.paired_ else {"codes": codes}
    return parts


def _real_for_bytes(index, codes, columns, blocks):
    """Return real codes of queries by block, for an index of packed codes."""
    parts = {"codes": codes}
    if index.paired_:
        parts = {blocks[0]: codes} if len(blocks) == 1 else paired_codes(codes, columns)
    n_bytes = index.n_features_in_ // (1 + index.paired_)
    if index.paired_ and not blocks and -(-codes.shape[1] // 8) == n_bytes:
        raise ValueError(
            "codes of half the width of a paired index may be of images or of texts: name their "
            "columns with skhash.make_table(image=codes) or make_table(text=codes)."
        )
    for part in parts.values():
        if -(-part.shape[1] // 8) != n_bytes:
            raise ValueError(
                f"the real codes have {part.shape[1]} values, the packed codes of the index "
                f"{n_bytes} bytes: give codes of the same length."
            )
    return parts


def read_words(index, X, *, reset):
    """Return the words of each block of codes in `X`, as `read_blocks` reads them.

    `X` may be of Dask, too: then workers hold the words.
    """
    if is_lazy(X):
        return read_sharded(index, X, read_words, reset=reset)
    parts = read_blocks(index, X, reset=reset)
    words = {block: words_of(part) for block, part in parts.items()}
    if reset and all(_are_equal(parts[block], words[block]) for block in parts):
        warn(
            f"all {len(next(iter(parts.values())))} codes are equal: these look like features, not "
            "codes; encode them with a fitted hasher.",
        )
    return words


def _are_equal(codes, words):
    """Say whether many real codes have the same bits, as features do that are never negative."""
    if codes.dtype.kind != "f" or len(codes) < MANY:
        return False
    return all((words[:, part] == words[:, :1]).all() for part in parts_of(words))


def check_labels(y, n_samples):
    """Return labels in a form that can be saved: a copy, unless they are memory-mapped."""
    labels = relevance.check_labels(y, n_samples)
    if labels.dtype.kind == "O" and any(label.endswith("\0") for label in labels):
        raise ValueError(
            "labels must not end with a zero character, which arrays of strings do not keep: strip "
            "it."
        )
    if labels.dtype.kind == "O" and isinstance(y, (list, tuple)):
        return np.array(labels.tolist())
    return labels if is_mapped(labels) else labels.copy()


def join_labels(held, new):
    """Append labels to those of the index, which must be of the same kind."""
    if (held is None) != (new is None):
        raise ValueError(
            "either all rows of an index have labels or none: give y in every call or in none."
        )
    if new is None:
        return None
    if held.shape[1:] != new.shape[1:]:
        raise ValueError(
            f"the labels have the shape {new.shape}, those of the index {held.shape}: give labels "
            "with the same columns."
        )
    kinds = [_LABEL_KINDS[y.dtype.kind] for y in (held, new)]
    # NumPy joins int64 and uint64 to floats.
    rounded = kinds == ["integers"] * 2 and np.result_type(held, new).kind == "f"
    if held.ndim == 1 and (kinds[0] != kinds[1] or rounded):
        raise ValueError(
            f"the index holds labels that are {kinds[0]} ({held.dtype}), got {kinds[1]} "
            f"({new.dtype}): convert the new ones, or fit again with labels of one kind."
        )
    return np.concatenate([held, new])
