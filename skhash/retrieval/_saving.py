"""Saving an index in a folder, and opening it."""

from itertools import groupby
from os.path import realpath
from pathlib import Path

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._inputs.checks import check_flag
from ._base import at_once
from ._engines import EnginesMixin
from ._ids import Ids
from ._journal import Journal
from ._store import read_index
from ._store_write import storable, write_index

# Attributes that a saved index records, beside its parameters.
_SAVED = ("n_samples_fit_", "n_features_in_", "paired_", "packed_")


class SavingMixin(EnginesMixin):
    """Folders of an index."""

    def save(self, path):
        """Save the index in a folder, without pickle.

        Codes, labels, ids and vectors become ``.npy`` files, everything else ``index.json``; the
        user guide describes the format. Removed items are left out, so that the opened index has
        the rows that :meth:`compact` would give. An index that exists is replaced in the last step:
        a crash leaves the old one or the new one. Processes that have opened the old one keep it.

        Parameters
        ----------
        path : str or path
            The folder, created if it does not exist. Other files in it are not touched.

        Raises
        ------
        ValueError
            If a label is neither a number, a boolean, a date nor a string, or the folder holds an
            ``index.json`` of something else.

        Examples
        --------
        >>> import tempfile
        >>> import numpy as np
        >>> from skhash.retrieval import HammingRetriever
        >>> codes = np.array([[0b0001], [0b0111]], dtype=np.uint8)
        >>> index = HammingRetriever(n_neighbors=1).fit(codes, y=["cat", "dog"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     index.save(folder)
        ...     HammingRetriever.open(folder).predict(codes)
        array(['cat', 'dog'], dtype='<U3')
        """
        check_is_fitted(self)
        held = at_once(self)
        fields = {"parameters": held.get_params(deep=False)}
        fields |= {name: getattr(held, name) for name in _SAVED}
        names = getattr(held, "feature_names_in_", None)
        fields |= {
            "n_samples_fit_": len(held),
            "n_trained": held._n_items_trained(),
            "feature_names_in_": None if names is None else list(names),
            "own_ids": held._ids.own,
            "n_added": held._ids.n_added,
        }
        rows = None if held._keep is None else np.flatnonzero(held._keep)
        ids = held._ids.values
        if ids is None and rows is not None:
            ids = np.arange(held.n_samples_fit_)  # numbers are no longer those of the rows
        by_row = {"y": held.y_, "ids": ids, "vectors": held.vectors_}
        arrays = held.words_ | {name: a for name, a in by_row.items() if a is not None}
        journal = held._journal
        if journal is None or realpath(path) != realpath(journal.folder):
            write_index(path, fields, arrays, rows)
        else:
            state = write_index(path, fields, arrays, rows, journal)
            self._journal = Journal(journal.folder, state)

    @classmethod
    def open(cls, path, *, mmap_mode="r", verify=None, durable=False):
        """Open a saved index, with all changes that its journal holds.

        Mapped codes are read when a search needs them, and processes share them. With
        ``durable=True``, :meth:`partial_fit`, :meth:`update` and :meth:`remove` write each change
        into a journal in the folder, and return once it is on the disk: it is there whenever the
        index is opened again, whatever happens to the process. The journal ends when the index is
        saved in its folder, or compacted. One process at a time can change an index that way.

        Parameters
        ----------
        path : str or path
            The folder that :meth:`save` has written.
        mmap_mode : {"r", None}, default="r"
            ``"r"`` maps the arrays, read-only; ``None`` reads them into memory.
        verify : bool, default=None
            Whether to compare the content of the arrays with their checksums; their sizes and
            headers, and ``index.json``, are checked always. ``None``: all of it if it is read into
            memory or has at most 16 MB, otherwise 64 blocks of 4 kB of each array, first and last
            included. Samples detect another file or a gap of several blocks, but not a change in
            the bytes between them: ``True`` compares every byte. A checksum does not prove who
            wrote a file.
        durable : bool, default=False
            Whether changes of the opened index are written to the folder; otherwise they are made
            in memory alone.

        Returns
        -------
        object
            The index, fitted. Strings that were Python objects have become strings of fixed width.

        Raises
        ------
        FileNotFoundError
            If there is no index.
        ValueError
            If the index is damaged, of something else or of a later version of the format. Later,
            from the methods that change a durable index: if another writer has changed the folder
            since; nothing is changed then.

        Examples
        --------
        >>> import tempfile
        >>> from skhash.retrieval import HammingRetriever
        >>> index = HammingRetriever().fit([[False, True], [True, True]], ids=["a.jpg", "b.jpg"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     index.save(folder)
        ...     changed = HammingRetriever.open(folder, durable=True)
        ...     changed = changed.partial_fit([[False, False]], ids=["c.jpg"]).remove(["a.jpg"])
        ...     HammingRetriever.open(folder).search([[False, False]], 2)["id"].tolist()
        ['c.jpg', 'b.jpg']
        """
        check_flag(durable, "durable")
        folder = Path(path).absolute()
        while True:
            fields, arrays = read_index(path, mmap_mode=mmap_mode, verify=verify)
            records, journal = Journal(folder, fields["sha256"]).read()
            if journal.is_current():  # else it was saved again in the meantime
                break
        unknown = set(fields["parameters"]) - set(cls().get_params())
        if unknown:
            raise ValueError(
                f"the index at {path} has parameters that this release does not know, "
                f"{', '.join(sorted(unknown))}: upgrade scikit-hash."
            )
        index = cls(**fields["parameters"])
        for name in _SAVED:
            setattr(index, name, fields[name])
        if fields["feature_names_in_"] is not None:
            index.feature_names_in_ = np.array(fields["feature_names_in_"], dtype=object)
        index._n_trained, index._n_items = fields["n_trained"], index.n_samples_fit_
        index._keep = None
        index.y_, index.vectors_ = arrays.pop("y", None), arrays.pop("vectors", None)
        index._ids = Ids(arrays.pop("ids", None), fields["own_ids"], fields["n_added"])
        index.words_ = arrays
        for operation, changes in _runs(records):
            try:
                changes = [index._of_record(operation, changed) for changed in changes]
                index._change(operation, **(changes[0] if len(changes) == 1 else _joined(changes)))
            except (KeyError, TypeError, ValueError) as error:
                raise journal.damaged() from error
        if durable:
            index._journal = journal
        return index

    def _record(self, operation, arrays):
        if self._journal is None:
            return
        if operation == "compact":
            self.save(self._journal.folder)
            return
        # Words of mapped codes are read when they are indexed.
        words = {block: part[:, :] for block, part in arrays.pop("words", {}).items()}
        arrays = {**words, **arrays}
        arrays = {name: array for name, array in arrays.items() if array is not None}
        if "y" in arrays:
            arrays["y"] = storable(arrays["y"])
        self._journal = self._journal.append(operation, arrays)

    def _of_record(self, operation, arrays):
        """Return the arguments of a change from the arrays of its record."""
        if operation == "remove":
            return arrays
        words = {block: arrays[block] for block in self.words_}
        held = {**self.words_, "vectors": self.vectors_}
        for name, new in {**words, "vectors": arrays.get("vectors")}.items():
            if (new is None) != (held[name] is None):
                raise ValueError(name)
            if new is not None and (
                new.dtype != held[name].dtype
                or _item_shape(name, new) != _item_shape(name, held[name])
            ):
                raise ValueError(name)
        others = {name: arrays.get(name) for name in ("y", "ids", "vectors")}
        return {"words": words, **others}


def _runs(records):
    """Yield operations and lists of the arrays of their records.

    Those of successive appends of the same types are in one list, since each change copies what the
    index holds.
    """
    for (operation, *_), run in groupby(records, key=_form):
        changes = [arrays for _, arrays in run]
        yield from (
            [(operation, changes)]
            if operation == "append"
            else ((operation, [arrays]) for arrays in changes)
        )


def _form(record):
    """Return the operation of a record, and the type and the width of each of its arrays."""
    operation, arrays = record
    # Strings of different lengths are joined as they are; numbers would be converted.
    types = {name: "str" if a.dtype.kind == "U" else a.dtype.str for name, a in arrays.items()}
    return operation, types, {name: _item_shape(name, a) for name, a in arrays.items()}


def _joined(changes):
    """Return the arguments of one append that does what several of the same types do."""
    words = {
        block: np.concatenate([change["words"][block] for change in changes], axis=1)
        for block in changes[0]["words"]
    }
    sizes = [next(iter(change["words"].values())).shape[1] for change in changes]
    joined = {"words": words, "sizes": sizes}
    for name in ("y", "ids", "vectors"):
        parts = [change[name] for change in changes]
        joined[name] = None if parts[0] is None else np.concatenate(parts)
        if parts[0] is not None and list(map(len, parts)) != sizes:
            raise ValueError(name)
    return joined


def _item_shape(name, array):
    return array.shape[1:] if name == "vectors" else array.shape[:-1]
