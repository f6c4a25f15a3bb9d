"""Saving an index in a folder, and opening it."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ._base import Index
from ._store import read_index
from ._store_write import write_index

# Attributes that a saved index records, beside its parameters.
_SAVED = ("n_samples_fit_", "n_features_in_", "paired_", "packed_")


class SavingMixin(Index):
    """Folders of an index."""

    def save(self, path):
        """Save the index in a folder, without pickle.

        Codes and labels become ``.npy`` files, everything else ``index.json``; the user guide
        describes the format. An index that exists is replaced in the last step: a crash leaves the
        old one or the new one. Processes that have opened the old one keep it.

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
            included. Samples detect another file or a gap of several blocks, but not a change in
            the bytes between them: ``True`` compares every byte. A checksum does not prove who
            wrote a file.

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
