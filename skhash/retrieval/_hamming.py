"""Nearest neighbours in Hamming space."""

from .._ranking.scorer import RetrievalScorer
from ._items import ItemsMixin
from ._queries import QueriesMixin
from ._results import ResultsMixin
from ._saving import SavingMixin


class HammingRetriever(ItemsMixin, QueriesMixin, ResultsMixin, SavingMixin):
    """Find the nearest codes by Hamming distance, exactly by default.

    :meth:`search` returns a table of ids, distances and labels, and accepts filters and groups.
    :meth:`kneighbors` and :meth:`radius_neighbors` return row numbers. :meth:`partial_fit`,
    :meth:`update` and :meth:`remove` change the index; :meth:`save` and :meth:`open` store it in a
    folder.

    Codes have any of the four formats of :mod:`skhash.codes`: bool bits, uint8 bytes of eight bits
    each, int8 values +1 and -1, or float values, whose signs are the bits. Items at equal distance
    are ordered by row, lowest first.

    A *paired* index contains an image code and a text code in each row. Queries of one modality
    search the codes of the other: a table with ``image__*`` columns searches the text codes, and a
    table with ``text__*`` columns the image codes.

    Parameters
    ----------
    n_neighbors : int, default=5
        Number of neighbours that :meth:`kneighbors` and :meth:`search` find by default.
    radius : float, default=2
        Largest Hamming distance, in bits, at which :meth:`radius_neighbors` finds items by default.
    algorithm : {"auto", "numpy", "numba", "faiss-ivf"}, default="auto"
        Search engine. ``"numpy"`` and ``"numba"`` (extra ``fast``) are exact and return the same
        results; ``"auto"`` is the fastest exact engine that is installed. ``"numba"`` compiles its
        code once per installation, in a few seconds, and loads it in less than a second in later
        processes; if neither its own folder nor the user's cache is writable, set the environment
        variable ``NUMBA_CACHE_DIR``. ``"faiss-ivf"`` (extra ``faiss``) is approximate: it divides
        the codes into lists by k-means and searches the `nprobe` lists nearest to a query.
        :meth:`recall_against_exact` measures how many neighbours it finds. :meth:`score` is always
        exact.
    n_jobs : int, default=None
        Number of threads, among which queries are divided. ``None`` means 1, and ``-1`` means all
        cores.
    paired : bool, default=None
        Whether each row has two codes. ``None`` means that it has if `X` is a table with both
        ``image__*`` and ``text__*`` columns. With True, arrays are split in the middle, image codes
        first. Without it, an array that ``transform`` of a hasher returns for pairs is indexed as
        one long code per row.
    nprobe : int, default=8
        Number of lists that ``"faiss-ivf"`` searches for each query.
    n_lists : int, default=None
        Number of lists of ``"faiss-ivf"``. ``None`` means ``4 sqrt(n_samples_fit_)``, or fewer if
        lists would have less than 39 codes.
    verbose : int, default=0
        Whether to print a line when an engine compiles or loads its code. Otherwise a line is
        logged (``logging.getLogger("skhash")``, level WARNING) if that takes more than a second.
    rerank : {None, "asymmetric", "vectors"}, default=None
        How items are ranked. ``None``: by Hamming distance. ``"asymmetric"``: by the sum of the
        absolute real values of the query over the bits that differ. All items are ranked, exactly.
        Queries must be real codes, from a hasher with ``output="real"``. ``"vectors"``: the
        `n_candidates` items with the smallest Hamming distances are re-ranked by the cosine
        distance between the vectors of query and item. Ties are always broken by row.
    n_candidates : int, default=100
        Number of items that ``rerank="vectors"`` re-ranks, at least `n_neighbors`. If the items of
        the index are the queries, an item is not a candidate of its own.

    Attributes
    ----------
    words_ : dict of str to ndarray of shape (n_words, n_samples_fit_), unsigned
        The packed codes, word by word. The keys are ``"codes"``, or ``"image"`` and ``"text"`` if
        paired. If packed codes are memory-mapped or on Dask workers, the values are objects of that
        shape that support slicing, instead of arrays.
    y_ : ndarray of shape (n_samples_fit_,) or (n_samples_fit_, n_labels), or None
        The labels `y` of all rows.
    vectors_ : ndarray of shape (n_samples_fit_, n_features), float16 or float32, or None
        The `vectors` of all rows. A memory map is not loaded.
    paired_ : bool
        Whether the index has an image code and a text code in each row.
    packed_ : bool
        Whether the index was fitted with packed codes, whose columns are bytes of eight bits.
    ids_ : ndarray of shape (n_samples_fit_,), int64 or str, or None
        The `ids` of all rows. If it is None, the id of an item is the number of items that were
        added before it.
    n_bits_ : int
        Length of a code in bits. It is eight times the number of bytes for packed codes.
    n_samples_fit_ : int
        Number of rows in the index, including those of removed items. ``len(index)`` is the number
        of items that are not removed.
    n_features_in_ : int
        Number of columns of both blocks together if paired, else of the codes.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, if a table with other columns than ``image__*`` and ``text__*`` was
        given.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.retrieval import HammingRetriever
    >>> codes = np.array([[False, False, False], [True, False, False], [True, True, True]])
    >>> ids = ["a.jpg", "b.jpg", "c.jpg"]
    >>> index = HammingRetriever(n_neighbors=2).fit(codes, y=["cat", "dog", "fox"], ids=ids)
    >>> found = index.search([[True, True, False]])
    >>> found["id"].tolist(), found["label"].tolist()
    (['b.jpg', 'c.jpg'], ['dog', 'fox'])
    >>> distances, rows = index.kneighbors([[True, True, False]])
    >>> distances, rows
    (array([[1, 1]], dtype=int32), array([[1, 2]]))
    >>> index.predict([[True, True, False]])
    array(['dog'], dtype='<U3')
    >>> index
    HammingRetriever(n_neighbors=2): 3 items of 3 bits in 3 bytes
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
        rerank=None,
        n_candidates=100,
    ):
        self.n_neighbors = n_neighbors
        self.radius = radius
        self.algorithm = algorithm
        self.n_jobs = n_jobs
        self.paired = paired
        self.nprobe = nprobe
        self.n_lists = n_lists
        self.verbose = verbose
        self.rerank = rerank
        self.n_candidates = n_candidates

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
        rerank=None,
        n_candidates=100,
    ):
        """Make a scorer for pipelines that end with codes, before a retriever.

        Parameters
        ----------
        metric : {"map", "precision", "recall", "hit_rate", "ndcg"}, default="map"
            Mean average precision, or the metric of that name at `k`.
        k : int, default=None
            Number of first results to consider. ``None`` means the whole gallery, which is possible
            with ``"map"`` and ``"ndcg"`` only.
        direction : {"mean", "image_to_text", "text_to_image"}, default="mean"
            The modality of the queries and of the database.
        gallery : table or array, default=None
            Pairs to search. ``None`` means the scored rows themselves.
        gallery_y : array-like of shape (n_gallery,) or (n_gallery, n_labels), default=None
            Labels of the database.
        ties : {"expected", "optimistic", "pessimistic", "index"}, default="expected"
            As in :func:`skhash.metrics.average_precision`.
        normalize : {"hits", "possible", "relevant"}, default="hits"
            As in :func:`skhash.metrics.average_precision`. Used with ``"map"`` only.
        n_jobs : int, default=None
            Number of threads for ranking binary codes. ``None`` means 1, and ``-1`` means all
            cores.
        rerank : {None, "asymmetric", "vectors"}, default=None
            As in :class:`skhash.metrics.RetrievalScorer`.
        n_candidates : int, default=100
            As in :class:`skhash.metrics.RetrievalScorer`.

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
            rerank=rerank,
            n_candidates=n_candidates,
        )
