"""A scorer of cross-modal retrieval for any pipeline, public as `skhash.metrics.RetrievalScorer`.

It stands here and not in skhash.metrics since `HammingRetriever.as_scorer` returns one, and
skhash.retrieval does not import skhash.metrics.
"""

from contextlib import suppress
from copy import copy
from functools import partial

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import UNUSED

from .._blocks import BLOCKS, block_of, named_columns, table_columns
from .._estimators import Documented
from .._hamming.comparable import compare_read
from .._hamming.shards import shard_codes
from .._inputs.checks import check_choice
from .._inputs.ids import check_ids
from .._inputs.lazy import is_lazy, refuse_lazy
from ..codes import count_bits, pack_read, read_codes
from .reranking import Asymmetric, Rescored, check_rerank, read_vectors
from .scores import METRICS_AT_K, average_precisions, ndcg_scores, scores_at_k

METRICS = ("map", *METRICS_AT_K, "ndcg")

DIRECTIONS = {
    "image_to_text": [("image", "text")],
    "text_to_image": [("text", "image")],
    "mean": [("image", "text"), ("text", "image")],
}


def paired_codes(codes, columns=None):
    """Split codes that have been read by the names of their columns, or else in the middle.

    Parameters
    ----------
    codes : ndarray of shape (n_samples, n_columns)
        Codes or features; without names the image block first.
    columns : list of str, default=None
        Names of the columns, if they have any.

    Returns
    -------
    dict of str to ndarray
        The blocks ``"image"`` and ``"text"``, of equal width.
    """
    width = codes.shape[1]
    columns = None if columns is None or columns in _numbers(width) else columns
    if columns is None:
        half, odd = divmod(width, 2)
        if odd:
            raise ValueError(
                f"paired codes of {width} columns cannot be split in half: "
                "give the image codes, then text codes of the same length."
            )
        return {"image": codes[:, :half], "text": codes[:, half:]}
    blocks = {block: codes[:, places] for block, places in named_columns(columns).items()}
    if not blocks and columns:
        raise ValueError(
            f"the columns are named, but not image__* and text__*, got {columns[0]!r}: build the "
            "table with skhash.make_table, or give an array of image codes, then text codes."
        )
    n_images, n_texts = (blocks[block].shape[1] if block in blocks else 0 for block in BLOCKS)
    if n_images != n_texts:
        raise ValueError(
            "paired codes need as many image__* as text__* columns, got "
            f"{n_images} and {n_texts}: give both codes of each row."
        )
    return blocks


def _numbers(width):
    """Return the names that pandas and polars give to unnamed columns."""
    return [[f"{prefix}{column}" for column in range(width)] for prefix in ("", "column_")]


class RetrievalScorer(Documented, BaseEstimator):
    """Score an estimator by how well its codes find the other modality.

    The scorer calls ``estimator.transform(X)`` and splits the columns of the result into an image
    half and a text half, by their names or, without names, in the middle. Each row of one half is a
    query to the other half. Binary codes are ranked by Hamming distance, float features by cosine
    similarity. Use it as ``scoring`` in any model selection tool, for any estimator or pipeline
    whose ``transform`` returns both modalities.

    Parameters
    ----------
    metric : {"map", "precision", "recall", "hit_rate", "ndcg"}, default="map"
        Mean average precision, or the metric of that name at k, as in
        :func:`skhash.metrics.precision_at_k` and related functions.
    k : int, default=None
        Number of first results to consider. ``None`` means the whole gallery, which is possible
        with ``"map"`` and ``"ndcg"`` only.
    direction : {"mean", "image_to_text", "text_to_image"}, default="mean"
        The modality of the queries and of the database; ``"mean"`` is the mean of both directions.
    gallery : table or array, default=None
        Pairs that are transformed and searched. ``None`` means the scored rows themselves. A Dask
        array or dataframe is transformed and searched by Dask workers; this needs binary codes.
    gallery_y : array-like of shape (n_gallery,) or (n_gallery, n_labels), default=None
        Ids, classes or label indicators of the database.
    ties : {"expected", "optimistic", "pessimistic", "index"}, default="expected"
        As in :func:`skhash.metrics.average_precision`.
    normalize : {"hits", "possible", "relevant"}, default="hits"
        As in :func:`skhash.metrics.average_precision`. Used with ``"map"`` only.
    n_jobs : int, default=None
        Number of threads that rank binary codes; ``-1`` uses all cores.
    rerank : {None, "asymmetric", "vectors"}, default=None
        How items are re-ranked, as in :class:`skhash.retrieval.HammingRetriever`. ``"asymmetric"``:
        by the sum of the absolute real values of the query over the bits that differ. If the
        estimator or its last step has a parameter `output`, real codes are computed by a copy with
        ``output="real"``; otherwise, the result of ``transform`` is used. ``"vectors"``: the
        `n_candidates` items with the smallest Hamming distances come first, ordered by the cosine
        similarity of the inputs of the last step, whose image and text halves must be in one space.
        The other items follow, by Hamming distance.
    n_candidates : int, default=100
        Number of items that ``rerank="vectors"`` re-ranks.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.preprocessing import FunctionTransformer
    >>> from skhash.metrics import RetrievalScorer
    >>> pairs = np.array([[1.0, 0.0, 0.9, 0.1], [0.0, 1.0, 0.2, 0.8]])
    >>> RetrievalScorer()(FunctionTransformer(), pairs)
    1.0
    """

    __module__ = "skhash.metrics"  # where users import it from

    def __init__(
        self,
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
        self.metric = metric
        self.k = k
        self.direction = direction
        self.gallery = gallery
        self.gallery_y = gallery_y
        self.ties = ties
        self.normalize = normalize
        self.n_jobs = n_jobs
        self.rerank = rerank
        self.n_candidates = n_candidates

    def __call__(self, estimator, X, y=None, *, groups=None):
        """Score a fitted estimator.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator whose ``transform`` returns the codes or features of both modalities.
        X : table or array of shape (n_samples, n_columns)
            Rows that hold both modalities.
        y : array-like of shape (n_samples,) or (n_samples, n_labels), default=None
            Ids or classes, or label indicators (0 or 1). Items with the same id or class, or with a
            label in common, are relevant. ``None`` means that only the other half of a row is
            relevant.
        groups : array-like of shape (n_samples,), default=None
            Ids that are used instead of `y` if `y` is None. With metadata routing, request them
            with ``set_score_request(groups=True)``.

        Returns
        -------
        float
            The score, from 0 to 1; larger is better.

        Raises
        ------
        ValueError
            If a parameter has an unknown value, the columns cannot be split into two halves, or the
            labels do not fit.
        """
        check_choice(self.metric, "metric", METRICS)
        check_choice(self.direction, "direction", DIRECTIONS)
        if self.k is None and self.metric in METRICS_AT_K:
            raise ValueError(f"metric={self.metric!r} needs a cut-off, got k=None: give k.")
        check_rerank(self.rerank, self.n_candidates)
        refuse_lazy(X, "the rows that are scored")
        encode = partial(_ENCODE[self.rerank], estimator)
        queries = encode(X)
        if y is None and groups is not None:
            y = check_ids(groups, "groups", len(queries["image"][0]))
        gallery, gallery_y = queries, y
        if self.gallery is not None:
            if self.rerank is not None:
                refuse_lazy(self.gallery, "a gallery that is re-ranked")
            gallery, gallery_y = encode(self.gallery), self.gallery_y
        scores = [
            self._score_queries(*self._sides(queries[source], gallery[target]), y, gallery_y).mean()
            for source, target in DIRECTIONS[self.direction]
        ]
        return float(np.mean(scores))

    def _sides(self, query, item):
        """Return queries and gallery, each given as its codes and its vectors or None."""
        if self.rerank is None:
            return compare_read(query[0], item[0])
        words, gallery = compare_read(*(pack_read(codes) for codes, _ in (query, item)))
        if self.rerank == "asymmetric":
            return Asymmetric(words, query[0]), gallery
        return Rescored(words, query[1], item[1], self.n_candidates), gallery

    def _score_queries(self, *sides):
        options = {"k": self.k, "ties": self.ties, "n_jobs": self.n_jobs}
        if self.metric == "map":
            return average_precisions(*sides, normalize=self.normalize, **options)
        if self.metric == "ndcg":
            return ndcg_scores(*sides, **options)
        return scores_at_k(self.metric, *sides, **options)

    # scikit-learn finds the metadata that a scorer accepts in a method of this name.
    score = __call__
    __metadata_request__score = {"estimator": UNUSED}  # noqa: RUF012


def _codes(estimator, X):
    halves = encode_halves(estimator, X)
    return {block: (codes, None) for block, codes in halves.items()}


def _real_codes(estimator, X):
    real = _codes(_with_real_output(estimator), X)
    for codes, _ in real.values():
        Asymmetric.of(codes[:1])
    return real


def _codes_and_vectors(estimator, X):
    fitted = getattr(estimator, "best_estimator_", estimator)
    last = fitted[-1] if isinstance(fitted, Pipeline) else fitted
    names = None
    if isinstance(fitted, Pipeline) and len(fitted) > 1:
        X = fitted[:-1].transform(X)
        names = _names(fitted[:-1], X)
    codes = encode_halves(last, X)
    n_image = getattr(last, "n_image_features_", None)
    if names is None and n_image is not None:  # an array is split where the hasher splits it
        names = [f"{BLOCKS[i >= n_image]}__{i}" for i in range(np.shape(X)[1])]
    try:
        vectors = halves(X, columns=names)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "rerank='vectors' compares the features of both modalities, which must be of one "
            f"space, before the last step; {error}"
        ) from error
    return {
        block: (codes[block], read_vectors(vectors[block], len(codes[block]))) for block in codes
    }


_ENCODE = {None: _codes, "asymmetric": _real_codes, "vectors": _codes_and_vectors}


def _with_real_output(estimator):
    """Return a fitted estimator whose hasher gives real codes; the given one is not changed."""
    estimator = getattr(estimator, "best_estimator_", estimator)
    if isinstance(estimator, Pipeline):
        (name, last), new = estimator.steps[-1], copy(estimator)
        new.steps = [*estimator.steps[:-1], (name, _with_real_output(last))]
        return new
    has_output = hasattr(estimator, "get_params") and "output" in estimator.get_params(deep=False)
    return copy(estimator).set_params(output="real") if has_output else estimator


def encode_halves(estimator, X):
    """Transform pairs and split the result, an array by the names that the estimator gives it.

    Those of Dask are transformed by the workers, which keep the codes.
    """
    if is_lazy(X):
        return shard_codes(X, partial(encode_halves, estimator))
    codes = estimator.transform(X)
    return halves(codes, columns=_names(estimator, codes))


def _names(estimator, codes):
    """Return the names of columns that an estimator gives, or None."""
    names = []
    with suppress(AttributeError, NotImplementedError, TypeError, ValueError):  # not all have names
        names = [str(name) for name in estimator.get_feature_names_out()]
    told = np.shape(codes)[1:] == (len(names),) and any(map(block_of, names))
    return names if told else None


def halves(codes, n_bits=None, columns=None):
    """Split the output of a transformer into an image and a text half.

    Parameters
    ----------
    codes : table, array or sparse matrix of shape (n_samples, n_columns)
        Codes or features of pairs; or an array or a dataframe of Dask, whose workers split it.
    n_bits : int, default=None
        Length in bits that each code must have.
    columns : list of str, default=None
        Names of the columns of an array, where they are known.

    Returns
    -------
    dict of str to ndarray or ShardedCodes
        The blocks ``"image"`` and ``"text"``, of equal width.
    """
    if is_lazy(codes):
        return shard_codes(codes, partial(halves, n_bits=n_bits))
    columns = table_columns(codes) or columns
    codes = codes.toarray() if sparse.issparse(codes) else codes
    blocks = paired_codes(read_codes(codes, packed=n_bits is not None), columns)
    if n_bits is not None:
        for block in blocks.values():
            count_bits(block, n_bits)
    return blocks
