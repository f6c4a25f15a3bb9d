"""Codes in the form that distances are computed from."""

import numpy as np

from .._inputs.checks import check_real
from .._inputs.lazy import is_lazy, refuse_lazy
from ..codes import format_of, pack_read, read_codes
from .engine_numpy import to_words
from .shards import ShardedCodes, shard_codes


def comparable(query_codes, gallery_codes):
    """Bring two arrays of codes into the form that distances are computed from.

    Parameters
    ----------
    query_codes : array-like or dataframe of shape (n_queries, n_columns)
        Codes in any format.
    gallery_codes : array-like or dataframe of shape (n_gallery, n_columns)
        Codes in the same format; or an array or a dataframe of Dask.

    Returns
    -------
    queries, gallery : ndarray or ShardedWords of shape (n_words, n_codes) or (n_features, n_codes)
        Words where the codes are binary, unit vectors (float64) where they are real.
    """
    refuse_lazy(query_codes, "query codes")
    if is_lazy(gallery_codes):
        gallery = shard_codes(gallery_codes, _one_block)["codes"]
    else:
        gallery = read_codes(gallery_codes)
    return compare_read(read_codes(query_codes), gallery)


def _one_block(chunk):
    return {"codes": read_codes(chunk)}


def compare_read(query_codes, gallery_codes):
    """Do the same with codes that `read_codes` or `shard_codes` returned, or with parts of them."""
    (n_queries, width), (n_gallery, gallery_width) = query_codes.shape, gallery_codes.shape
    form, gallery_form = format_of(query_codes), format_of(gallery_codes)
    if form != gallery_form:
        raise TypeError(
            f"the query codes are {form}, the gallery codes {gallery_form}: "
            "convert one of them with skhash.codes.convert_codes."
        )
    if width != gallery_width:
        raise ValueError(
            f"the query codes have {width} columns, the gallery codes {gallery_width}: "
            "give codes of the same length."
        )
    if not (n_queries and n_gallery and width):
        raise ValueError(
            f"the codes are empty, got {n_queries} queries and {n_gallery} gallery items "
            f"of {width} columns: give at least one of each."
        )
    sharded = isinstance(gallery_codes, ShardedCodes)
    if form == "real":
        if sharded:
            raise TypeError(
                "real vectors are ranked by cosine similarity, which is not computed on Dask "
                "workers: give binary codes, for example codes >= 0."
            )
        return _unit_columns(query_codes), _unit_columns(gallery_codes)
    words = to_words(pack_read(query_codes))
    return words, gallery_codes.words if sharded else to_words(pack_read(gallery_codes))


def _unit_columns(vectors):
    may_overflow = vectors.dtype.itemsize > 4
    vectors = vectors.T.astype(np.float64)
    if may_overflow:  # the square of 1e200; scaling by powers of two is exact
        _, exponents = np.frexp(np.abs(vectors).max(axis=0))
        vectors = np.ldexp(vectors, -exponents)
    norms = np.linalg.norm(vectors, axis=0)
    return vectors / np.where(norms > 0, norms, 1)


def is_binary(queries):
    """Say whether these are words, not real vectors."""
    return queries.dtype.kind == "u"


def check_radius(radius, queries):
    """Check a radius, and that there are distances in bits; return the radius."""
    radius = check_real(radius, "radius", "[0, inf]")
    check_bits(queries)
    return radius


def check_bits(queries):
    """Check that codes have distances in bits."""
    if not is_binary(queries):
        raise TypeError(
            "real embeddings have no Hamming distance: binarise them with "
            "skhash.codes.convert_codes(codes, 'bits')."
        )
