"""All directions of retrieval in one table, beside random codes."""

from functools import partial

import numpy as np
import pandas as pd

from .._blocks import table_columns
from .._hamming.comparable import compare_read, is_binary
from .._hamming.shards import ShardedCodes
from .._inputs.checks import check_choice, check_integer, check_real
from .._inputs.lazy import refuse_lazy
from .._inputs.seed import check_seed, own_generator
from .._ranking.buckets import (
    bucket_average_precision,
    harmonic_numbers,
    hit_chance_at_k,
    hits_at_k,
)
from .._ranking.counts import NOTHING_RELEVANT, bucket_counts
from .._ranking.relevance import encode_labels
from .._ranking.scorer import halves
from .._ranking.scores import NORMALIZE
from ..codes import count_bits, format_of
from ._bootstrap import bootstrap_interval
from ._report_table import RADIUS, RetrievalReport

ACROSS = [("image", "text"), ("text", "image")]
WITHIN = [("image", "image"), ("text", "text")]


def retrieval_report(
    codes,
    gallery=None,
    y=None,
    y_gallery=None,
    *,
    n_bits=None,
    k=50,
    normalize="hits",
    confidence_level=0.95,
    n_resamples=1000,
    random_state=0,
    n_jobs=None,
):
    r"""Score paired codes in every direction, beside random codes.

    The rows are image to text, text to image, image to image, text to text, and random codes of the
    same number and length. Relevance does not depend on the modality, so one row of random codes is
    the baseline of both cross-modal directions. Within a modality and without a gallery, queries do
    not find themselves. The rows within a modality are left out if there are no labels
    (``y=None``), or if no query has another relevant item.

    Parameters
    ----------
    codes : array-like or dataframe of shape (n_queries, n_columns), bool, uint8, int8 or float
        Paired codes of the queries, as ``transform`` returns them: a dataframe with columns
        ``image__*`` and ``text__*``, or an array of image codes followed by text codes of the same
        length. An array is split in the middle, and the report says so.
    gallery : array-like or dataframe of shape (n_gallery, n_columns), default=None
        Paired codes to search. ``None`` means `codes`. A Dask array or dataframe, which must
        contain binary codes, is searched by its workers.
    y : array-like of shape (n_queries,) or (n_queries, n_labels), default=None
        Ids, classes or label indicators of the queries; ``None`` means that only row i of the
        gallery is relevant to query i.
    y_gallery : array-like of shape (n_gallery,) or (n_gallery, n_labels), default=None
        The same for the gallery, if one is given.
    n_bits : int, default=None
        Length of a code in bits, to check that the codes have this length. ``None`` means half of
        the columns, and 8 bits for each byte of packed codes.
    k : int, default=50
        Cut-off of mAP\@k and of precision at k.
    normalize : {"hits", "possible", "relevant"}, default="hits"
        Meaning of mAP\@k, as in :func:`average_precision`.
    confidence_level : float, default=0.95
        Share of the bootstrap means of mAP that are inside its interval.
    n_resamples : int, default=1000
        Number of bootstrap means.
    random_state : int, RandomState instance, Generator or None, default=0
        Seed of the random codes and of the bootstrap.
    n_jobs : int, default=None
        Number of threads for ranking binary codes. ``None`` means 1, and ``-1`` means all cores.

    Returns
    -------
    RetrievalReport
        An object that prints a table and its protocol. ``to_frame()`` returns all numbers as a
        pandas.DataFrame: mAP in expectation over ties, its bootstrap interval (``mAP_low``,
        ``mAP_high``), and its bounds over the orders of ties (``mAP_worst``, ``mAP_best``); in
        expectation over ties, mAP and precision (P) at k, precision within Hamming radius 2
        (``P@H<=2``; NaN for real codes), and the hit rates at 1, 5 and 10 (``R@1`` ...); the number
        of queries, ``n_queries``, and the number of those that have no relevant item and score 0,
        ``n_without_relevant``.

    Raises
    ------
    TypeError
        If the formats differ, a dtype does not determine the format, or `k` is not an integer.
    ValueError
        If the codes are not pairs, empty, of different lengths or not finite, if labels do not fit
        them, if no query has a relevant item, or if an option is unknown or out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.metrics import retrieval_report
    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(4, size=60)
    >>> image = (rng.random((4, 16)) < 0.5)[y]
    >>> text = image ^ (rng.random((60, 16)) < 0.2)
    >>> report = retrieval_report(np.hstack([image, text]), y=y, k=10)
    >>> report.to_frame()["mAP"].round(2)
    image -> text     0.96
    text -> image     0.95
    image -> image    1.00
    text -> text      0.73
    random codes      0.31
    Name: mAP, dtype: float64
    """
    k = check_integer(k, "k")
    check_choice(normalize, "normalize", NORMALIZE)
    confidence_level = check_real(confidence_level, "confidence_level", "(0, 1)")
    n_resamples = check_integer(n_resamples, "n_resamples")
    check_seed(random_state)
    alone = gallery is None
    if alone and y_gallery is not None:
        raise ValueError("y_gallery is given without a gallery: give gallery too, or y alone.")
    refuse_lazy(codes, "the codes of the queries")
    queries = halves(codes, n_bits)
    items, y_items = (queries, y) if alone else (halves(gallery, n_bits), y_gallery)
    labels = encode_labels(y, y_items, len(queries["image"]), len(items["image"]))
    score = partial(_score_queries, labels=labels, k=k, normalize=normalize, n_jobs=n_jobs)

    rows = {}
    for source, target in ACROSS if y is None else ACROSS + WITHIN:
        scores = score(queries[source], items[target], others=alone and source == target)
        if not np.all(scores["without"]):
            rows[f"{source} -> {target}"] = scores
        elif source != target:
            raise ValueError(NOTHING_RELEVANT)
    rng = own_generator(random_state)
    length = count_bits(queries["image"], n_bits)
    rows["random codes"] = score(
        *(_random_like(side["image"], length, rng) for side in (queries, items))
    )
    frame = pd.DataFrame(
        [_summarise(scores, confidence_level, n_resamples, rng) for scores in rows.values()],
        index=list(rows),
    )
    return RetrievalReport(
        frame,
        codes=_describe(queries["image"], n_bits, named=table_columns(codes) is not None),
        gallery=_describe_gallery(len(items["image"]), alone),
        k=k,
        normalize=normalize,
        confidence_level=confidence_level,
        n_resamples=n_resamples,
    )


def _score_queries(query_codes, gallery_codes, *, labels, k, normalize, n_jobs, others=False):
    """Return a dataframe of scores, one row per query."""
    queries, gallery = compare_read(query_codes, gallery_codes)
    n_gallery = gallery.shape[1] - others
    harmonic = harmonic_numbers(n_gallery)
    parts = []
    for counts, distances in bucket_counts(queries, gallery, *labels, others=others, n_jobs=n_jobs):
        n, r = counts.sum(axis=2), counts[..., 1]
        precision = partial(bucket_average_precision, n, r, harmonic, normalize=normalize)
        ball = counts[:, distances <= RADIUS].sum(axis=1)
        within = ball[:, 1] / np.maximum(ball.sum(axis=1), 1)
        scores = {
            "mAP": precision(k=n_gallery, ties="expected"),
            "mAP_worst": precision(k=n_gallery, ties="pessimistic"),
            "mAP_best": precision(k=n_gallery, ties="optimistic"),
            f"mAP@{k}": precision(k=min(k, n_gallery), ties="expected"),
            f"P@{k}": hits_at_k(n, r, k, "expected") / k,
            f"P@H<={RADIUS}": within if is_binary(queries) else np.nan,
            **{f"R@{few}": hit_chance_at_k(n, r, few, "expected") for few in (1, 5, 10)},
            "without": ~r.any(axis=1),
        }
        parts.append(pd.DataFrame(scores))
    return pd.concat(parts)


def _summarise(scores, confidence_level, n_resamples, rng):
    low, high = bootstrap_interval(
        scores["mAP"], confidence_level=confidence_level, n_resamples=n_resamples, random_state=rng
    )
    means = scores.drop(columns="without").mean()
    return {
        "mAP": means.pop("mAP"),
        "mAP_low": low,
        "mAP_high": high,
        **means,
        "n_queries": len(scores),
        "n_without_relevant": scores["without"].sum(),
    }


def _random_like(codes, n_bits, rng):
    """Draw codes of the same shape: fair bits, or real vectors in every direction alike."""
    if isinstance(codes, ShardedCodes):
        return codes.random_like(n_bits, rng)
    if format_of(codes) == "real":
        return rng.standard_normal(codes.shape)
    return rng.random((len(codes), n_bits)) < 0.5


def _describe_gallery(n_items, alone):
    if alone:
        return f"the same {n_items:,}; within a modality a query searches the others"
    return f"{n_items:,}"


def _describe(codes, n_bits, named):
    form, width = format_of(codes), codes.shape[1]
    text = f"{count_bits(codes, n_bits)} bits, ranked by Hamming distance"
    if form == "real":
        text = f"{width} real values, ranked by cosine similarity"
    elif form == "packed":
        text = text.replace(" bits", f" bits ({width} bytes)")
    return text if named else f"{text}; {2 * width} columns split in the middle"
