"""What changes an index: items that are added, replaced and removed."""

import threading

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._estimators import fitting
from .._inputs.messages import shorten
from ._engines import EnginesMixin
from ._ids import Ids, check_unique, read_ids
from ._index import check_labels, join_labels, read_words
from ._rows import join_words, take_words
from ._sharded import refuse_sharded

_changing = threading.RLock()  # one change at a time: a change begins with what the last one left


class ItemsMixin(EnginesMixin):
    """Items of an index."""

    def fit(self, X, y=None, *, ids=None, vectors=None):
        """Index codes.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_columns), bool, uint8, int8 or float
            The codes. Packed codes of a ``numpy.memmap`` stay in their file, which must not
            change; those of a Dask array or dataframe stay on its workers; all others are copied.
        y : array-like of shape (n_samples,) or (n_samples, n_labels), default=None
            Classes or label indicators of the rows; likewise.
        ids : array-like of shape (n_samples,), int or str, default=None
            Ids of the rows, no two of them equal; paths become strings. ``None``: the id of an item
            is the number at which it was added, counted from 0 and never used again.
        vectors : array-like or memmap of shape (n_samples, n_features), default=None
            Vectors of the rows for ``rerank="vectors"``, float16 or float32: the features that the
            hasher gets. Those of a paired index are in one space for both modalities, image vectors
            in the first half of the columns. Names of columns (``image__*``, ``text__*``) and the
            width are checked; vectors of another space in an array of this width cannot be told
            from these. An array or a memory map is neither copied nor changed, and of a memory map
            only the rows of candidates are read.

        Returns
        -------
        object
            The index itself.

        Raises
        ------
        TypeError
            If the codes are of no format of :mod:`skhash.codes`, or ambiguous, or the ids are
            neither integers nor strings.
        ValueError
            If a parameter is out of range, the codes are empty, not finite or not pairs, labels or
            ids are missing or of another length, labels are lists, two ids are equal, or names of
            columns say that vectors are of another modality than the codes.
        """
        return self._add("fit", X, y, ids, vectors)

    def partial_fit(self, X, y=None, *, ids=None, vectors=None):
        """Append codes to the index; their rows are numbered after the last.

        All codes are in memory afterwards, those of a mapped index too.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_columns)
            The codes, of the same width and format as those that are there.
        y : array-like of shape (n_samples,) or (n_samples, n_labels), default=None
            Their labels, if the index has labels.
        ids : array-like of shape (n_samples,), int or str, default=None
            Their ids, if the index was fitted with ids. The id of an item that was removed may be
            given again.
        vectors : array-like of shape (n_samples, n_features), default=None
            Their vectors, if the index has vectors; all are in memory afterwards.

        Returns
        -------
        object
            The index itself.

        Raises
        ------
        TypeError
            If ids are of another type than those of the index.
        ValueError
            If codes or labels do not fit those of the index in width, format or kind, or an id is
            in use.
        """
        return self._add("append" if hasattr(self, "words_") else "fit", X, y, ids, vectors)

    def update(self, X, ids, y=None, *, vectors=None):
        """Replace the codes of items; their ids and rows stay.

        Codes and vectors are checked, and end up in memory, as those of :meth:`partial_fit`.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_ids, n_columns)
            The new codes.
        ids : array-like of shape (n_ids,), int or str
            The items, no two of them equal.
        y : array-like of shape (n_ids,) or (n_ids, n_labels), default=None
            Their new labels; ``None`` keeps those that they have.
        vectors : array-like of shape (n_ids, n_features), default=None
            Their new vectors, if the index has vectors.

        Returns
        -------
        object
            The index itself.

        Raises
        ------
        TypeError
            As in :meth:`partial_fit`, or if ids are given before the codes.
        ValueError
            As in :meth:`partial_fit`, or if an id is unknown or given twice, or labels are given in
            the place of ids.
        """
        check_is_fitted(self)
        if _n_dimensions(X) == 1 and _n_dimensions(ids) == 2:
            raise TypeError(
                f"the codes come first, got ids and then {type(ids).__name__} of two dimensions: "
                "call update(codes, ids)."
            )
        with _changing, fitting(self) as new:
            words, n_samples = new._read_codes(X, reset=False)
            y = None if y is None else check_labels(y, n_samples)
            vectors = new._read_vectors(vectors, X, n_samples, reset=False)
            new._change("update", words=words, y=y, ids=read_ids(ids), vectors=vectors)
        return self

    def remove(self, ids):
        """Remove items: searches do not find them any more.

        The rows are masked, which takes no time; the others keep their numbers. :meth:`compact`
        gives the memory back, and :meth:`save` leaves removed items out.

        Parameters
        ----------
        ids : array-like or set of shape (n_ids,), int or str
            The items: their ids, or the numbers at which they were added where the index has no
            ids.

        Returns
        -------
        object
            The index itself.

        Raises
        ------
        TypeError
            If ids are of another type than those of the index.
        ValueError
            If an id is not in the index, or no longer.

        Examples
        --------
        >>> import numpy as np
        >>> from skhash.retrieval import HammingRetriever
        >>> codes = np.array([[False, False], [False, True], [True, True]])
        >>> index = HammingRetriever(n_neighbors=1).fit(codes, ids=["a.jpg", "b.jpg", "c.jpg"])
        >>> len(index.remove(["b.jpg"]))
        2
        >>> index.search([[False, True]])["id"].tolist()
        ['a.jpg']
        """
        check_is_fitted(self)
        with _changing, fitting(self) as new:
            new._change("remove", ids=read_ids(ids, ordered=False))
        return self

    def compact(self):
        """Give back the memory of removed items, and number the rows of the others anew.

        Ids stay, also those that are numbers. The codes of a mapped index are in memory afterwards
        if items were removed. An index that was opened with ``durable=True`` is saved, too.

        Returns
        -------
        object
            The index itself.
        """
        check_is_fitted(self)
        with _changing, fitting(self) as new:
            new._change("compact")
        return self

    def _add(self, operation, X, y, ids, vectors):
        self._check_parameters()
        if operation == "fit" and self._journal is not None:
            raise ValueError(
                "an index that was opened with durable=True cannot be fitted again: fit another "
                "HammingRetriever, and save it in the folder."
            )
        with _changing, fitting(self) as new:
            words, n_samples = new._read_codes(X, reset=operation == "fit")
            y = None if y is None else check_labels(y, n_samples)
            ids = None if ids is None else read_ids(ids)
            vectors = new._read_vectors(vectors, X, n_samples, reset=operation == "fit")
            new._change(operation, words=words, y=y, ids=ids, vectors=vectors)
        return self

    def _read_codes(self, X, *, reset):
        words = read_words(self, X, reset=reset)
        if not reset and set(words) != set(self.words_):
            raise ValueError(
                "a paired index holds both codes of a row, got one: give a table with image__* and "
                "text__* columns."
            )
        return words, next(iter(words.values())).shape[1]

    def _change(self, operation, **arrays):
        """Change what the index holds: each change of an index is one such call.

        Attributes are replaced, never changed in place. The same calls on an index of the same
        items give the same index, whether its removed rows were dropped in between or not.

        Parameters
        ----------
        operation : {"fit", "append", "update", "remove", "compact"}
            The method below that makes the change; it checks ids and labels against those held.
        **arrays : dict or ndarray or None
            ``words`` by block, ``y``, ``ids`` and ``vectors``, as they were read.
        """
        getattr(self, f"_{operation}")(**arrays)
        self._record(operation, arrays)

    def _fit(self, words, y, ids, vectors=None):
        n_samples = next(iter(words.values())).shape[1]
        self._ids = Ids.first(ids, n_samples)
        self.words_, self.y_, self.vectors_ = words, y, vectors
        self.n_samples_fit_ = self._n_items = self._n_trained = n_samples
        self._keep = None
        self._lists, self._dense = {}, {}
        if self.algorithm == "faiss-ivf":
            for block in words:
                self._inverted_lists(block)

    def _append(self, words, y, ids, vectors=None, sizes=None):
        # `sizes`: how many items each of several changes added that are made at once.
        n_samples = next(iter(words.values())).shape[1]
        self._ids = self._ids.extended(ids, n_samples, self._keep)
        self.y_ = join_labels(self.y_, y)
        if vectors is not None:
            self.vectors_ = np.concatenate([self.vectors_, vectors])
        self.words_ = {block: join_words(self.words_[block], words[block]) for block in words}
        if self._keep is not None:
            self._keep = np.concatenate([self._keep, np.ones(n_samples, dtype=bool)])
        self._dense = {}
        for size in [n_samples] if sizes is None else sizes:
            self.n_samples_fit_ += size
            self._n_items += size
            if len(self) > 2 * self._n_items_trained():
                self._n_trained = self.n_samples_fit_

    def _update(self, words, y, ids, vectors=None):
        refuse_sharded(self, "be replaced: remove these items and append their new codes")
        n_samples = next(iter(words.values())).shape[1]
        if len(ids) != n_samples:
            raise ValueError(
                f"ids must hold one id per item, got {len(ids)} ids for {n_samples} items."
            )
        try:
            check_unique(ids)
            rows = self._ids.rows(ids, self._keep)
        except (TypeError, ValueError) as error:
            if not self._are_labels(ids):
                raise
            raise ValueError(
                f"ids must be of items that the index holds, got its labels, such as "
                f"{shorten(ids.tolist()[0])}: call update(codes, ids, y), labels last."
            ) from error
        if y is not None:
            places = np.arange(self.n_samples_fit_)
            places[rows] = self.n_samples_fit_ + np.arange(n_samples)
            self.y_ = np.asarray(join_labels(self.y_, y))[places]
        if vectors is not None:
            self.vectors_ = np.array(self.vectors_)
            self.vectors_[rows] = vectors
        changed = {block: np.array(held[:, :]) for block, held in self.words_.items()}
        for block, held in changed.items():
            held[:, rows] = words[block][:, :]
        self.words_ = changed
        self._lists, self._dense = {}, {}

    def _are_labels(self, ids):
        """Say whether ids that are refused are labels, none of which was ever an id."""
        if self.y_ is None or self.y_.ndim > 1 or not set(ids.tolist()) <= set(self.y_[:].tolist()):
            return False
        known = np.arange(self._ids.n_added) if self._ids.values is None else self._ids.values
        return not set(ids.tolist()) & set(known.tolist())

    def _remove(self, ids):
        rows = self._ids.rows(ids, self._keep)
        if not len(rows):
            return
        held = self._keep
        keep = np.ones(self.n_samples_fit_, dtype=bool) if held is None else held.copy()
        keep[rows] = False
        self._keep, self._n_items = keep, int(np.count_nonzero(keep))
        self._lists, self._dense = {}, dict(vars(self).get("_dense", {}))
        if not self._n_items_trained():
            self._n_trained = self.n_samples_fit_

    def _compact(self):
        if self._keep is None:
            return
        rows, n_trained = np.flatnonzero(self._keep), self._n_items_trained()
        self.words_ = {block: take_words(held, rows) for block, held in self.words_.items()}
        self.y_ = None if self.y_ is None else np.array(self.y_[rows])
        self.vectors_ = None if self.vectors_ is None else np.array(self.vectors_[rows])
        self._ids = self._ids.taken(rows)
        self.n_samples_fit_, self._n_trained, self._keep = len(rows), n_trained, None
        self._dense = {}


def _n_dimensions(values):
    """Count the dimensions of an array, a table or a list, as far as two."""
    shape = getattr(values, "shape", None)
    if shape is not None:
        return len(shape)
    first = next(iter(values), "") if isinstance(values, (list, tuple)) else ""
    return 2 if hasattr(first, "__len__") and not isinstance(first, (str, bytes)) else 1
