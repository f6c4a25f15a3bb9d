"""Nearest neighbours in Hamming space."""

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from .._estimators import fitting
from .._hamming import search as _search
from .._inputs.checks import (
    check_choice,
    check_flag,
    check_integer,
    check_n_jobs,
    check_parameter,
    check_real,
    check_verbose,
)
from .._ranking.scorer import RetrievalScorer
from .._ranking.scores import average_precisions
from ._index import check_labels, join_labels, read_words
from ._ivf import import_faiss, updated_lists
from ._rows import join_words
from ._store import read_index
from ._store_write import write_index

_ALGORITHMS = (*_search.ALGORITHMS, "faiss-ivf")
# The block of the index that answers the queries of a block.
_ANSWERS = {"image": "text", "text": "image", "codes": "codes"}
# Attributes that a saved index records, beside its parameters.
_SAVED = ("n_samples_fit_", "n_features_in_", "paired_", "packed_")


class HammingRetriever(BaseEstimator):
    """Find the nearest codes by Hamming distance, exactly by default.

    Codes come in any of the four formats of :mod:`skhash.codes`: real ones count by their sign.
    Items at equal distance are ordered by row, lowest first.

    A *paired* index holds an image and a text code a row. It answers queries of one modality from
    the other: a table of ``image__*`` columns searches the text codes, a table of ``text__*``
    columns the image codes.

    Parameters
    ----------
    n_neighbors : int, default=5
        Number of neighbours that :meth:`kneighbors` finds.
    radius : float, default=2
        Distance in bits up to which :meth:`radius_neighbors` finds items.
    algorithm : {"auto", "numpy", "numba", "faiss-ivf"}, default="auto"
        Search engine. ``"numpy"`` and ``"numba"`` (extra ``fast``) are exact and give the same;
        ``"auto"`` takes the fastest one that is installed. ``"faiss-ivf"`` (extra ``faiss``) is
        approximate: it sorts the codes into lists by k-means and searches the `nprobe` lists
        nearest to a query. :meth:`recall_against_exact` measures the loss; :meth:`score` is always
        exact.
    n_jobs : int, default=None
        Number of threads, which share the queries; ``-1`` uses all cores.
    paired : bool, default=None
        Whether a row holds two codes. ``None``: if a table has both ``image__*`` and ``text__*``
        columns. ``True``: split arrays in the middle, image codes first. ``False``: never.
    nprobe : int, default=8
        Number of lists that ``"faiss-ivf"`` searches for each query.
    n_lists : int, default=None
        Number of lists that ``"faiss-ivf"`` makes. ``None``: ``4 sqrt(n_samples_fit_)``, or fewer
        where a list would hold less than 39 codes.
    verbose : int, default=0
        Whether to print a line when an engine compiles its code, which happens once.

    Attributes
    ----------
    words_ : dict of str to ndarray of shape (n_words, n_samples_fit_), unsigned
        The packed codes, word by word: under ``"codes"``, or ``"image"`` and ``"text"`` if paired.
        For packed codes of a memory map, something of that shape that is sliced as an array is.
    y_ : ndarray of shape (n_samples_fit_,) or (n_samples_fit_, n_labels), or None
        What was given as `y`.
    paired_ : bool
        Whether the index holds an image and a text code a row.
    packed_ : bool
        Whether the columns are bytes of eight bits.
    n_samples_fit_ : int
        Number of rows in the index.
    n_features_in_ : int
        Number of columns, of both blocks if paired.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where a table of other than block columns was given.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.retrieval import HammingRetriever
    >>> codes = np.array([[False, False, False], [True, False, False], [True, True, True]])
    >>> index = HammingRetriever(n_neighbors=2).fit(codes, y=["cat", "dog", "fox"])
    >>> distances, rows = index.kneighbors([[True, True, False]])
    >>> distances, rows
    (array([[1, 1]], dtype=int32), array([[1, 2]]))
    >>> index.predict([[True, True, False]])
    array(['dog'], dtype='<U3')
    """

    def __init__(
        self,
        n_neighbors=5,
        *,
        radius=2,
        algorithm="auto",
        n_jobs=None,
        paired=None,
        nprobe=8,
        n_lists=None,
        verbose=0,
    ):
        self.n_neighbors = n_neighbors
        self.radius = radius
        self.algorithm = algorithm
        self.n_jobs = n_jobs
        self.paired = paired
        self.nprobe = nprobe
        self.n_lists = n_lists
        self.verbose = verbose

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

    def kneighbors(self, X=None, n_neighbors=None, return_distance=True):
        """Find the nearest items of each query.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_queries, n_columns), default=None
            Codes of the queries; ``None`` means the rows of the index, each without itself.
        n_neighbors : int, default=None
            Number of neighbours; ``None`` takes that of the constructor.
        return_distance : bool, default=True
            Whether to return the distances.

        Returns
        -------
        distances : ndarray of shape (n_queries, n_neighbors), int32
            Distances in bits, ascending; only if `return_distance`.
        rows : ndarray of shape (n_queries, n_neighbors), int64
            Rows of the index.

        Raises
        ------
        ValueError
            If there are fewer items than neighbours asked for, or the queries do not fit the index.
        """
        check_flag(return_distance, "return_distance")
        queries, block = self._one_search(X)
        alone = X is None
        k = self._check_n_neighbors(n_neighbors, self.n_samples_fit_ - alone)
        distances, rows = self._nearest(queries, block, k + alone)
        if alone:
            others = rows != np.arange(len(rows))[:, None]
            others[others.all(axis=1), -1] = (
                False  # k items at distance 0 come before the row itself
            )
            distances, rows = (found[others].reshape(-1, k) for found in (distances, rows))
        return (distances, rows) if return_distance else rows

    def radius_neighbors(self, X=None, radius=None, return_distance=True):
        """Find all items within a distance of each query.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_queries, n_columns), default=None
            Codes of the queries; ``None`` means the rows of the index, each without itself.
        radius : float, default=None
            Largest distance in bits; ``None`` takes that of the constructor.
        return_distance : bool, default=True
            Whether to return the distances.

        Returns
        -------
        distances : ndarray of shape (n_queries,) of ndarray, int32
            Distances in bits of each query's items, ascending; only if `return_distance`.
        rows : ndarray of shape (n_queries,) of ndarray, int64
            Their rows in the index.

        Raises
        ------
        ValueError
            If the radius is negative, or the queries do not fit the index.
        """
        check_flag(return_distance, "return_distance")
        queries, block = self._one_search(X)
        radius = check_real(self.radius if radius is None else radius, "radius", "[0, inf]")
        distances, rows, starts = self._within_radius(queries, block, radius)
        if X is None:
            query = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
            others = rows != query
            distances, rows = distances[others], rows[others]
            starts = np.searchsorted(query[others], np.arange(len(starts)))
        distances, rows = _split(distances, starts), _split(rows, starts)
        return (distances, rows) if return_distance else rows

    def kneighbors_graph(self, X=None, n_neighbors=None, mode="connectivity"):
        """Build the graph from each query to its nearest items.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_queries, n_columns), default=None
            Codes of the queries; ``None`` means the rows of the index, each without itself.
        n_neighbors : int, default=None
            Number of neighbours; ``None`` takes that of the constructor.
        mode : {"connectivity", "distance"}, default="connectivity"
            Whether an edge weighs 1, or its distance in bits.

        Returns
        -------
        csr_matrix of shape (n_queries, n_samples_fit_), float64
            The graph; a distance of 0 is stored.

        Raises
        ------
        ValueError
            If `mode` is unknown, or as in :meth:`kneighbors`.
        """
        check_choice(mode, "mode", ("connectivity", "distance"))
        distances, rows = self.kneighbors(X, n_neighbors)
        n_queries, k = rows.shape
        weights = distances if mode == "distance" else np.ones(rows.shape)
        starts = np.arange(0, n_queries * k + 1, k)
        parts = weights.ravel().astype(np.float64), rows.ravel(), starts
        return sparse.csr_matrix(parts, shape=(n_queries, self.n_samples_fit_))

    def predict(self, X):
        """Return the label of the nearest item of each query.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_queries, n_columns)
            Codes of the queries.

        Returns
        -------
        ndarray of shape (n_queries,) or (n_queries, n_labels)
            Rows of `y_`.

        Raises
        ------
        ValueError
            If the index has no labels.
        """
        check_is_fitted(self)
        if self.y_ is None:
            raise ValueError(
                "the index has no labels to predict: call fit(X, y), or kneighbors for the rows."
            )
        _, rows = self.kneighbors(X, 1)
        return self.y_[rows[:, 0]]

    def score(self, X, y=None):
        """Compute the mean average precision of queries against the index.

        All items are ranked, exactly, whatever the `algorithm`.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_queries, n_columns)
            Codes of the queries; pairs score the mean of both directions.
        y : array-like of shape (n_queries,) or (n_queries, n_labels), default=None
            Their ids, classes or label indicators; ``None``, where the index has no labels either,
            means that row i of the index alone is relevant to query i.

        Returns
        -------
        float
            The mean average precision, with the expectation over ties.

        Raises
        ------
        ValueError
            If only the queries or only the index have labels, or labels do not fit the queries.
        """
        options = {"k": None, "ties": "expected", "normalize": "hits", "n_jobs": self.n_jobs}
        if self.algorithm != "faiss-ivf":
            options["algorithm"] = self.algorithm
        scores = [
            average_precisions(queries, self.words_[block], y, self.y_, **options).mean()
            for queries, block in self._searches(X)
        ]
        return float(np.mean(scores))

    @staticmethod
    def as_scorer(
        metric="map",
        *,
        k=None,
        direction="mean",
        gallery=None,
        gallery_y=None,
        ties="expected",
        normalize="hits",
        n_jobs=None,
    ):
        """Make a scorer for pipelines that end with codes, before a retriever.

        Parameters
        ----------
        metric : {"map", "precision", "recall", "hit_rate", "ndcg"}, default="map"
            Mean average precision, or the metric of that name at `k`.
        k : int, default=None
            Cut-off; ``None`` ranks the whole gallery, which ``"map"`` and ``"ndcg"`` alone can do.
        direction : {"mean", "image_to_text", "text_to_image"}, default="mean"
            The modality of the queries and of the database.
        gallery : table or array, default=None
            Database to search; ``None`` searches the scored rows themselves.
        gallery_y : array-like of shape (n_gallery,) or (n_gallery, n_labels), default=None
            Labels of the database.
        ties : {"expected", "optimistic", "pessimistic", "index"}, default="expected"
            As in :func:`skhash.metrics.average_precision`.
        normalize : {"hits", "possible", "relevant"}, default="hits"
            As in :func:`skhash.metrics.average_precision`; for ``"map"`` alone.
        n_jobs : int, default=None
            Number of threads that rank binary codes; ``-1`` uses all cores.

        Returns
        -------
        RetrievalScorer
            A callable for ``scoring=``; see :class:`skhash.metrics.RetrievalScorer`.
        """
        return RetrievalScorer(
            metric,
            k=k,
            direction=direction,
            gallery=gallery,
            gallery_y=gallery_y,
            ties=ties,
            normalize=normalize,
            n_jobs=n_jobs,
        )

    def recall_against_exact(self, X, n_neighbors=None):
        """Measure how many of the nearest items :meth:`kneighbors` finds.

        Of several items at the distance of the last neighbour, one is as good as another.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_queries, n_columns)
            Codes of the queries.
        n_neighbors : int, default=None
            Number of neighbours; ``None`` takes that of the constructor.

        Returns
        -------
        float
            Share of the found items that are no farther than the last exact neighbour; 1 for an
            exact `algorithm`.

        Raises
        ------
        ValueError
            As in :meth:`kneighbors`.
        """
        queries, block = self._one_search(X)
        k = self._check_n_neighbors(n_neighbors, self.n_samples_fit_)
        found, _ = self._nearest(queries, block, k)
        exact, _ = _search.nearest(queries, self.words_[block], k, n_jobs=self.n_jobs)
        return float(np.mean(found <= exact[:, -1:]))

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

    def __getstate__(self):
        state = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_lists"}

    def _append(self, X, y, *, reset):
        self._check_parameters()
        with fitting(self) as new:
            new._extend(X, y, reset=reset)
        return self

    def _check_parameters(self):
        check_parameter(self, "n_neighbors", check_integer)
        check_parameter(self, "radius", check_real, "[0, inf]")
        check_choice(self.algorithm, "algorithm", _ALGORITHMS)
        check_n_jobs(self.n_jobs)
        check_parameter(self, "paired", check_flag, optional=True)
        check_parameter(self, "nprobe", check_integer)
        check_parameter(self, "n_lists", check_integer, optional=True)
        check_verbose(self.verbose)
        if self.algorithm == "faiss-ivf":
            import_faiss()

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

    def _searches(self, X):
        """Pair the words of each block of queries with the block of the index that answers it."""
        check_is_fitted(self)
        words = read_words(self, X, reset=False)
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

    def _check_n_neighbors(self, n_neighbors, n_items):
        k = self.n_neighbors if n_neighbors is None else n_neighbors
        k = check_integer(k, "n_neighbors")
        if k > n_items:
            raise ValueError(
                f"n_neighbors must be at most the number of items, got n_neighbors={k} "
                f"for {n_items} items."
            )
        return k

    def _inverted_lists(self, block):
        """Return faiss's lists of a block, which no pickle holds, with all codes of the index."""
        held = vars(self).setdefault("_lists", {})
        return updated_lists(held, block, self.words_[block], self._n_trained, self.n_lists)

    def _nearest(self, queries, block, k):
        gallery = self.words_[block]
        if self.algorithm == "faiss-ivf":
            lists = self._inverted_lists(block)
            return lists.nearest(queries, gallery, k, nprobe=self.nprobe, n_jobs=self.n_jobs)
        return _search.nearest(queries, gallery, k, **self._engine())

    def _within_radius(self, queries, block, radius):
        if self.algorithm == "faiss-ivf":
            lists = self._inverted_lists(block)
            return lists.within_radius(queries, radius, nprobe=self.nprobe, n_jobs=self.n_jobs)
        return _search.within_radius(queries, self.words_[block], radius, **self._engine())

    def _engine(self):
        return {"algorithm": self.algorithm, "n_jobs": self.n_jobs, "verbose": self.verbose}


def _split(found, starts):
    """Split the results of all queries into one array per query."""
    n_queries = len(starts) - 1
    return np.fromiter(np.split(found, starts[1:-1]), dtype=object, count=n_queries)
