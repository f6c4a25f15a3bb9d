"""Indexes to and from collections of Milvus, a database that searches binary vectors."""

import json

import numpy as np
from sklearn.utils import gen_batches
from sklearn.utils.validation import check_is_fitted

from .._blocks import BLOCKS, make_table
from .._inputs.checks import check_integer
from .._libraries import import_optional
from ._hamming import HammingRetriever

_FORMAT = "skhash.HammingRetriever"
_MOST_RESULTS = 16_384  # that Milvus returns a query, or a batch of an iterator
_MOST_LABELS = 4_096  # elements of an array field
_KINDS = {"b": "BOOL", "i": "INT64", "u": "INT64", "f": "DOUBLE", "U": "VARCHAR", "O": "VARCHAR"}


def to_milvus(index, client, collection, *, batch_size=5_000):
    """Write an index into a new collection of Milvus.

    The collection has the fields ``id`` (the primary key), ``codes``, or ``image`` and ``text`` of
    a paired index (binary vectors with an index ``BIN_FLAT``, which is exact, and the metric
    ``HAMMING``), and, if the index has labels, ``label``: a number, a string or an array of
    indicators. Removed items are left out.

    Parameters
    ----------
    index : HammingRetriever
        The index, fitted.
    client : pymilvus.MilvusClient
        The connection to a server, or to a Milvus Lite file.
    collection : str
        Name of the new collection; it must not exist yet.
    batch_size : int, default=5000
        Number of items to send at a time.

    Raises
    ------
    ValueError
        If the collection exists, the index has no items, or its labels have a type that Milvus does
        not support. Errors of Milvus are not changed. After an error, the new collection is
        deleted.
    ImportError
        If pymilvus is not installed (extra ``milvus``).

    Notes
    -----
    In Milvus, lengths are multiples of 8 bits. Other codes are padded with zeros, which does not
    change distances. A query is a code packed by :func:`skhash.codes.pack_codes`, which pads it in
    the same way: ``client.search(collection, data=[row.tobytes() for row in packed],
    anns_field="codes", limit=10, search_params={"metric_type": "HAMMING"})``. Distances are the
    same as in :class:`HammingRetriever`, but the order of items at equal distance may differ.
    Milvus returns at most 16,384 items for each query.

    Examples
    --------
    >>> from pymilvus import MilvusClient                       # doctest: +SKIP
    >>> client = MilvusClient("photos.db")                      # doctest: +SKIP
    >>> to_milvus(index, client, "photos")                      # doctest: +SKIP
    >>> copy = from_milvus(client, "photos")                    # doctest: +SKIP
    """
    check_is_fitted(index)
    batch_size = check_integer(batch_size, "batch_size")
    milvus = import_optional("pymilvus", extra="milvus", purpose="to_milvus")
    rows = index._item_rows()
    if not len(rows):
        raise ValueError("the index has no items to write: at least one is needed.")
    if client.has_collection(collection):
        raise ValueError(
            f"there is a collection {collection!r} already: drop it with client.drop_collection, "
            "or give another name."
        )
    ids = index._ids.of(rows)
    labels = None if index.y_ is None else index.y_[rows]
    n_bytes = -(-index.n_bits_ // 8)
    about = {"format": _FORMAT, "n_bits": index.n_bits_, "packed": index.packed_}
    schema = client.create_schema(auto_id=False, description=json.dumps(about))
    schema.add_field("id", is_primary=True, **_scalar(milvus, ids, "ids"))
    for block in index.words_:
        schema.add_field(block, milvus.DataType.BINARY_VECTOR, dim=8 * n_bytes)
    if labels is not None:
        schema.add_field("label", **_label(milvus, labels))
    searched = client.prepare_index_params()
    for block in index.words_:
        searched.add_index(block, index_type="BIN_FLAT", metric_type="HAMMING")
    options = {"index_params": searched, "consistency_level": "Strong"}
    try:
        client.create_collection(collection, schema=schema, **options)
        for batch in gen_batches(len(rows), batch_size):
            columns = {"id": ids[batch].tolist()}
            for block, words in index.words_.items():
                packed = _packed(words[:, rows[batch]], n_bytes)
                columns[block] = [row.tobytes() for row in packed]
            if labels is not None:
                columns["label"] = labels[batch].tolist()
            items = zip(*columns.values(), strict=True)
            client.insert(collection, [dict(zip(columns, item, strict=True)) for item in items])
        client.flush(collection)
    except BaseException:
        client.drop_collection(collection)
        raise


def from_milvus(client, collection, *, label="label", batch_size=1_000):
    """Read a collection of Milvus into an index.

    Parameters
    ----------
    client : pymilvus.MilvusClient
        The connection.
    collection : str
        Name of the collection: one that :func:`to_milvus` has written, or any other with one field
        of binary vectors, or with two that are named ``image`` and ``text``.
    label : str, default="label"
        Name of the field of the labels. If the collection has no such field, the index has no
        labels.
    batch_size : int, default=1000
        Number of items to read at a time, at most 16,384.

    Returns
    -------
    HammingRetriever
        The index, fitted, its rows in the order of the ids.

    Raises
    ------
    ValueError
        If the collection does not have such fields of binary vectors, or has no items, an id
        contains a line break, or `label` names the field of the ids or of codes.
    ImportError
        If pymilvus is not installed (extra ``milvus``).

    Examples
    --------
    >>> from pymilvus import MilvusClient                       # doctest: +SKIP
    >>> client = MilvusClient("photos.db")                      # doctest: +SKIP
    >>> index = from_milvus(client, "photos", label="class")    # doctest: +SKIP
    """
    batch_size = check_integer(batch_size, "batch_size", high=_MOST_RESULTS)
    milvus = import_optional("pymilvus", extra="milvus", purpose="from_milvus")
    about = client.describe_collection(collection)
    kinds = {field["name"]: field["type"] for field in about["fields"]}
    (key,) = (field["name"] for field in about["fields"] if field.get("is_primary"))
    vectors = [name for name, kind in kinds.items() if kind == milvus.DataType.BINARY_VECTOR]
    paired = sorted(vectors) == sorted(BLOCKS)
    if len(vectors) != 1 and not paired:
        raise ValueError(
            f"the collection {collection!r} must have one field of binary vectors, or two that are "
            f"named image and text, got {vectors}: write one with to_milvus."
        )
    if label in (key, *vectors):
        raise ValueError(
            f"the field {label!r} of the collection {collection!r} holds ids or codes: name the "
            "field of the labels; if there is none, keep the default of label."
        )
    fields = [key, *(BLOCKS if paired else vectors), *([label] if label in kinds else [])]
    columns = {name: [] for name in fields}
    for item in _items(client, collection, key, fields, batch_size):
        for name in fields:
            columns[name].append(item[name])
    ids = np.array(columns[key])
    if not len(ids):
        raise ValueError(f"the collection {collection!r} has no items: at least one is needed.")
    order = np.argsort(ids, kind="stable")
    codes = {name: _rows(columns[name])[order] for name in fields[1:] if name in vectors}
    X = make_table(**codes) if paired else codes[vectors[0]]
    y = np.array(columns[label])[order] if label in kinds else None
    index = HammingRetriever().fit(X, y, ids=ids[order])
    _restore(index, about.get("description"))
    return index


def _items(client, collection, key, fields, batch_size):
    """Yield the items of a collection, as dicts, by ascending key."""
    options = {"batch_size": batch_size, "output_fields": fields, "consistency_level": "Strong"}
    rest = ""  # a filter, empty at first
    while rest is not None:
        batches = client.query_iterator(collection, filter=rest, **options)
        rest = None
        try:
            while rest is None and (batch := batches.next()):
                yield from batch
                rest = _escaped(key, batch[-1][key])
        finally:
            batches.close()


def _escaped(key, last):
    """Return the filter of the items after a key that pymilvus's iterator does not escape, or None.

    The iterator compares keys with ``"{last}"``: with a quotation mark or a backslash in it, that
    is another string or none, and the iterator leaves items out or never ends.
    """
    if not isinstance(last, str) or not set(last) & set('\\"\n\r'):
        return None
    if set(last) & set("\n\r"):  # releases of Milvus differ in how these are escaped, if at all
        raise ValueError(
            f"ids must not contain line breaks, got {last!r}, after which Milvus cannot find the "
            "other items: write a collection with other ids."
        )
    escaped = last.replace("\\", "\\\\").replace('"', '\\"')
    return f'{key} > "{escaped}"'


def _restore(index, description):
    """Give an index the length and the format that `to_milvus` noted of the codes."""
    try:
        about = json.loads(description)
        n_bits, packed = about["n_bits"], about["packed"]
        ours = about["format"] == _FORMAT and packed is False
    except (TypeError, ValueError, KeyError):
        return
    if ours and -(-n_bits // 8) * 8 == index.n_bits_:
        index.packed_, index.n_features_in_ = False, n_bits * (1 + index.paired_)


def _packed(words, n_bytes):
    """Return words as packed codes."""
    little = words.T.astype(words.dtype.newbyteorder("<"), order="C")
    return little.view(np.uint8)[:, :n_bytes]


def _rows(vectors):
    """Return binary vectors, each the bytes of a code or a list of them, as packed codes."""
    rows = [vector[0] if isinstance(vector, (list, tuple)) else vector for vector in vectors]
    return np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(len(rows), -1)


def _label(milvus, labels):
    """Return the type of the field of the labels."""
    if labels.ndim == 1:
        return _scalar(milvus, labels, "labels")
    if labels.shape[1] > _MOST_LABELS:
        raise ValueError(
            f"Milvus holds at most {_MOST_LABELS} labels a row, got {labels.shape[1]}: export an "
            "index without labels."
        )
    element = _scalar(milvus, labels, "labels")["datatype"]
    kind = {"datatype": milvus.DataType.ARRAY, "element_type": element}
    return {**kind, "max_capacity": labels.shape[1]}


def _scalar(milvus, values, name):
    """Return the type of a field of numbers or strings."""
    kind = _KINDS.get(values.dtype.kind)
    if kind is None or (values.dtype.kind == "u" and values.max() > np.iinfo(np.int64).max):
        raise ValueError(
            f"{name} of dtype {values.dtype} have no type in Milvus: give integers of 64 bits, "
            "floats, booleans or strings."
        )
    found = {"datatype": getattr(milvus.DataType, kind)}
    if kind == "VARCHAR":
        found["max_length"] = max(1, max(len(str(value).encode()) for value in values.flat))
    return found
