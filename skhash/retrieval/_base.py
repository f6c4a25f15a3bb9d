"""An index of codes: what it holds, and which of it answers a query."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted, validate_data

from .._blocks import named_columns, table_columns
from .._fitting import fitting
from .._ranking.relevance import check_labels
from .._ranking.scorer import paired_codes
from ..codes import format_of, read_codes
from ._rows import is_mapped, join_words, words_of
from ._store import read_index
from ._store_write import write_index

# The block of the index that answers the queries of a block.
_ANSWERS = {"image": "text", "text": "image", "codes": "codes"}
# Kinds of labels that NumPy would turn into one another.
_LABEL_KINDS = {
    **{"b": "booleans", "i": "integers", "u": "integers", "f": "floats", "c": "complex numbers"},
    **{"U": "strings", "O": "strings", "S": "bytes", "M": "dates", "m": "spans of time"},
}
# What a saved index says of itself, beside its parameters.
_SAVED = ("n_samples_fit_", "n_features_in_", "paired_", "packed_")


class CodeIndex(BaseEstimator):
    """Base of retrievers: holds codes as words, of one kind or in pairs.

    A subclass has the parameter ``paired``.
    """

    paired: bool | None
    n_features_in_: int
    y_: Any
    # How many codes, from the first, train inverted lists: all that a pickle or a saved index must
    # keep, besides the codes, to make the same lists again.
    _n_trained: int

    def fit(self, X, y=None):
        """Index codes.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_columns), bool, uint8, int8 or float
            The codes. Packed codes of a ``numpy.memmap`` stay in their file, which must not
            change; all others are copied.
        y : array-like of shape (n_samples,) or (n_samples, n_labels), default=None
            Ids, classes or label indicators of the rows; likewise.

        Returns
        -------
        object
            The index itself.

        Raises
        ------
        TypeError
            If the codes name no format, or could be of two (:mod:`skhash.codes`).
        ValueError
            If a parameter is out of range, the codes are empty, not finite or not pairs, or labels
            are missing, of another length or lists of labels.
        """
        return self._append(X, y, reset=True)

    def partial_fit(self, X, y=None):
        """Append codes to the index; rows keep counting.

        All codes are in memory afterwards, those of a mapped index too.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_columns)
            The codes, of the same width and format as those that are there.
        y : array-like of shape (n_samples,) or (n_samples, n_labels), default=None
            Their labels, if the index has labels.

        Returns
        -------
        object
            The index itself.

        Raises
        ------
        ValueError
            If codes or labels do not fit those of the index: in width, format or kind.
        """
        return self._append(X, y, reset=not hasattr(self, "words_"))

    def save(self, path):
        """Save the index in a folder, without pickle.

        Codes and labels become ``.npy`` files, all else ``index.json``; the user guide has the
        format. The index that is there already is replaced at the very end: a crash leaves the old
        one or the new one. Processes that have the old one open keep it.

        Parameters
        ----------
        path : str or path
            The folder; made if it is not there. Other files in it are left alone.

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
        fields = {name: getattr(self, name) for name in _SAVED}
        fields["n_trained"] = self._n_trained
        names = getattr(self, "feature_names_in_", None)
        fields["feature_names_in_"] = None if names is None else list(names)
        arrays = self.words_ if self.y_ is None else {**self.words_, "y": self.y_}
        write_index(path, {"parameters": self.get_params(deep=False), **fields}, arrays)

    @classmethod
    def open(cls, path, *, mmap_mode="r", verify=None):
        """Open a saved index.

        Mapped codes are read when a search needs them, and processes share them.

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
            included. These tell another file and a hole of several blocks, not a change in the
            bytes between them: ``True`` compares every byte. No checksum tells who wrote a file.

        Returns
        -------
        object
            The index, fitted. Strings that were Python objects have become strings of fixed width.

        Raises
        ------
        FileNotFoundError
            If there is no index.
        ValueError
            If the index is damaged, of something else or of a later version of the format.
        """
        fields, arrays = read_index(path, mmap_mode=mmap_mode, verify=verify)
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
        index._n_trained = fields["n_trained"]
        index.y_ = arrays.pop("y", None)
        index.words_ = arrays
        return index

    def _check_parameters(self):
        """Raise an error if a parameter is out of range."""

    def _append(self, X, y, *, reset):
        self._check_parameters()
        with fitting(self) as new:
            new._extend(X, y, reset=reset)
        return self

    def _extend(self, X, y, *, reset):
        """Replace what the index holds, or append to it."""
        words = self._read(X, reset=reset)
        n_samples = next(iter(words.values())).shape[1]
        if y is not None:
            y = _check_labels(y, n_samples)
        if not reset:
            if set(words) != set(self.words_):
                raise ValueError(
                    "a paired index holds both codes of a row, got one: append a table with "
                    "image__* and text__* columns."
                )
            y = _join_labels(self.y_, y)
            words = {block: join_words(self.words_[block], words[block]) for block in words}
            n_samples += self.n_samples_fit_
        self.words_, self.y_, self.n_samples_fit_ = words, y, n_samples
        if reset or n_samples > 2 * self._n_trained:
            self._n_trained = n_samples

    def _read(self, X, *, reset):
        """Return the words of each block that `X` holds; `reset` decides what the index holds."""
        columns = table_columns(X)
        named = self.paired is not False and columns is not None
        blocks = list(named_columns(columns)) if named else []
        codes = _check_codes(X, self)
        if blocks:
            X = codes  # the names told the modality: texts may well search images
        packed = format_of(codes) == "packed"
        if reset:
            self.packed_ = packed
            self.paired_ = bool(self.paired) or len(blocks) == 2
        elif packed != self.packed_:
            kinds = {True: "packed codes (uint8)", False: "codes of a column a bit"}
            raise ValueError(
                f"the index holds {kinds[self.packed_]}, got {kinds[packed]}: "
                "convert them with skhash.codes.convert_codes."
            )
        if self.paired_ and not reset and len(blocks) == 1:
            if 2 * codes.shape[1] != self.n_features_in_:
                raise ValueError(
                    f"the {blocks[0]} codes have {codes.shape[1]} columns, those of the index "
                    f"{self.n_features_in_ // 2}: give codes of one length."
                )
            parts = {blocks[0]: codes}
        else:
            if self.paired_ and not reset and 2 * codes.shape[1] == self.n_features_in_:
                raise ValueError(
                    "codes of half the width of a paired index may be of images or of texts: name "
                    "their columns with skhash.make_table(image=codes) or make_table(text=codes)."
                )
            # Only the number and the names of the columns: the values are checked already.
            validate_data(self, X=X, skip_check_array=True, reset=reset)  # pyright: ignore[reportArgumentType]
            parts = paired_codes(codes, columns) if self.paired_ else {"codes": codes}
        return {block: words_of(part) for block, part in parts.items()}

    def _searches(self, X):
        """Pair the words of each block of queries with the block of the index that answers it."""
        check_is_fitted(self)
        words = self._read(X, reset=False)
        return [(words[block][:, :], _ANSWERS[block]) for block in words]

    def _one_search(self, X):
        """Return the words of the queries, of the index itself if `X` is None, and the block."""
        check_is_fitted(self)
        if X is None and not self.paired_:
            return np.ascontiguousarray(self.words_["codes"][:, :]), "codes"
        searches = [] if X is None else self._searches(X)
        if len(searches) != 1:
            raise ValueError(
                "pairs search a paired index in two directions, so their neighbours are ambiguous: "
                "give the image__* or the text__* columns alone."
            )
        return searches[0]


def _check_codes(X, estimator):
    # Their values are judged; what is left to check is that there are rows and columns.
    return check_array(read_codes(X), ensure_all_finite=False, estimator=estimator)


def _check_labels(y, n_samples):
    """Return labels that can be saved, as a copy unless they lie in a file."""
    labels = check_labels(y, n_samples)
    if labels.dtype.kind == "O" and any(label.endswith("\0") for label in labels):
        raise ValueError(
            "labels must not end with a zero character, which arrays of strings do not keep: strip "
            "it."
        )
    if labels.dtype.kind == "O" and isinstance(y, (list, tuple)):
        return np.array(labels.tolist())
    return labels if is_mapped(labels) else labels.copy()


def _join_labels(held, new):
    """Append labels to those that are there, if they are of one kind."""
    if (held is None) != (new is None):
        raise ValueError(
            "all rows of the index have labels or none has: give y in each call or in none."
        )
    if new is None:
        return None
    if held.shape[1:] != new.shape[1:]:
        raise ValueError(
            f"the labels have the shape {new.shape}, those of the index {held.shape}: give labels "
            "of the same columns."
        )
    kinds = [_LABEL_KINDS[y.dtype.kind] for y in (held, new)]
    # NumPy makes floats of int64 and uint64 together.
    rounded = kinds == ["integers"] * 2 and np.result_type(held, new).kind == "f"
    if held.ndim == 1 and (kinds[0] != kinds[1] or rounded):
        raise ValueError(
            f"the index holds labels that are {kinds[0]} ({held.dtype}), got {kinds[1]} "
            f"({new.dtype}): convert the new ones, or fit again with labels of one kind."
        )
    return np.concatenate([held, new])
