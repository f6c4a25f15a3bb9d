"""What changes an index: codes and labels that are fitted or appended."""

from .._estimators import fitting
from ._base import Index
from ._index import check_labels, join_labels, read_words
from ._rows import join_words


class ItemsMixin(Index):
    """Items of an index."""

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
            If the codes are of no format of :mod:`skhash.codes`, or ambiguous.
        ValueError
            If a parameter is out of range, the codes are empty, not finite or not pairs, or labels
            are missing, of another length or lists of labels.
        """
        return self._append(X, y, reset=True)

    def partial_fit(self, X, y=None):
        """Append codes to the index; their rows are numbered after the last.

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

    def _append(self, X, y, *, reset):
        self._check_parameters()
        with fitting(self) as new:
            new._extend(X, y, reset=reset)
        return self

    def _extend(self, X, y, *, reset):
        """Replace what the index holds, or append to it."""
        words = read_words(self, X, reset=reset)
        n_samples = next(iter(words.values())).shape[1]
        if y is not None:
            y = check_labels(y, n_samples)
        if not reset:
            if set(words) != set(self.words_):
                raise ValueError(
                    "a paired index holds both codes of a row, got one: append a table with "
                    "image__* and text__* columns."
                )
            y = join_labels(self.y_, y)
            words = {block: join_words(self.words_[block], words[block]) for block in words}
            n_samples += self.n_samples_fit_
        self.words_, self.y_, self.n_samples_fit_ = words, y, n_samples
        # How many codes, from the first, train inverted lists. Pickles and saved indexes keep this
        # number, so that the same lists can be built again.
        if reset or n_samples > 2 * self._n_trained:
            self._n_trained = n_samples
        if reset:
            self._lists = {}
            if self.algorithm == "faiss-ivf":
                for block in words:
                    self._inverted_lists(block)
