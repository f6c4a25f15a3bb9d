"""Nearest neighbours in Hamming space."""

from .._ranking.scorer import RetrievalScorer
from ._items import ItemsMixin
from ._queries import QueriesMixin
from ._results import ResultsMixin
from ._saving import SavingMixin


class HammingRetriever(ItemsMixin, QueriesMixin, ResultsMixin, SavingMixin):
    """Find the nearest codes by Hamming distance, exactly by default.

    :meth:`search` gives a table of ids, distances and labels, and takes filters and groups;
    :meth:`kneighbors` and :meth:`radius_neighbors` give rows. :meth:`partial_fit`, :meth:`update`
    and :meth:`remove` change the index, :meth:`save` and :meth:`open` keep it in a folder.

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
        Search engine. ``"numpy"`` and ``"numba"`` (extra ``fast``) are exact and give the same.
        The latter compiles its code in a few seconds, once an installation, and loads it in less
        than a second in later processes; where neither its own folder nor the user's cache can be
        written, the environment variable ``NUMBA_CACHE_DIR`` names one. ``"auto"`` takes the
        fastest one that is installed. ``"faiss-ivf"`` (extra ``faiss``) is approximate: it sorts
        the codes into lists by k-means and searches the `nprobe` lists nearest to a query.
        :meth:`recall_against_exact` measures the loss; :meth:`score` is always exact.
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
        Whether to print a line when an engine compiles or loads its code. Without it, a line is
        logged (``logging.getLogger("skhash")``, level WARNING) where that takes over a second.
    rerank : {None, "asymmetric", "vectors"}, default=None
        How the items that a query finds are ordered. ``None``: by Hamming distance.
        ``"asymmetric"``: by the sum of the query's absolute real values on the bits that differ,
        over all items, exactly; queries are real codes, of a hasher with ``output="real"``.
        ``"vectors"``: the `n_candidates` nearest by Hamming distance, of equal ones the lowest
        rows, are ordered by cosine distance between vectors of queries and items. Equal ones are
        ordered by row.
    n_candidates : int, default=100
        Number of items that ``rerank="vectors"`` orders, at least `n_neighbors`. Where the items of
        the index are the queries, the item itself is not one of them.

    Attributes
    ----------
    words_ : dict of str to ndarray of shape (n_words, n_samples_fit_), unsigned
        The packed codes, word by word: under ``"codes"``, or ``"image"`` and ``"text"`` if paired.
        For packed codes of a memory map, and for those of Dask workers, something of that shape
        that is sliced as an array is.
    y_ : ndarray of shape (n_samples_fit_,) or (n_samples_fit_, n_labels), or None
        What was given as `y`, of all rows.
    vectors_ : ndarray of shape (n_samples_fit_, n_features), float16 or float32, or None
        What was given as `vectors`; a memory map stays one.
    paired_ : bool
        Whether the index holds an image and a text code a row.
    packed_ : bool
        Whether the columns are bytes of eight bits.
    ids_ : ndarray of shape (n_samples_fit_,), int64 or str, or None
        What was given as `ids`. None: the id of an item is the number at which it was added.
    n_bits_ : int
        Length of a code in bits; of packed codes, eight for each byte.
    n_samples_fit_ : int
        Number of rows in the index, those of removed items included; ``len(index)`` is the number
        of items that are not removed.
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
