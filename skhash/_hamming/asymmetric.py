r"""Search binary codes by asymmetric distance: the queries keep their real values.

The distance of a query with the real code :math:`r` and an item with the bits :math:`b` is

.. math:: d(r, b) = \sum_j |r_j| \, [b_j \neq [r_j \geq 0]],

which orders items as the inner product of :math:`r` and the item's signs does, since that is
:math:`\sum_j |r_j| - 2 d(r, b)`. It is the distance that Gordo, Perronnin, Gong and Lazebnik
(Asymmetric distances for binary embeddings, PAMI 2014) derive for embeddings that are binarised by
their sign, up to a constant of the query; the search is this library's own.

Each ``|r_j|`` is rounded to a multiple of :math:`2^{e - 28}`, where :math:`2^e` is the next power
of two above the largest of a query: float32 has 24 bits. So distances are integers, whose sums are
the same in any order and by any engine.
"""

import importlib

import numpy as np

from . import asymmetric_numpy, engine_numpy
from .search import find_engine, share_nearest

_COMPILED = "skhash._hamming.asymmetric_numba"


def nearest_asymmetric(
    queries, real, gallery, k, *, keep=None, algorithm="auto", n_jobs=None, verbose=0
):
    """Find the `k` codes of the smallest asymmetric distance to each query.

    Parameters
    ----------
    queries : ndarray of shape (n_words, n_queries)
        Words of the signs of the real codes.
    real : ndarray of shape (n_queries, n_bits), float
        The real codes, finite.
    gallery, k, keep, algorithm, n_jobs, verbose
        As in `skhash._hamming.search.nearest`.

    Returns
    -------
    distances : ndarray of shape (n_queries, k), float64
        Sums of the query's values on bits that differ, ascending.
    rows : ndarray of shape (n_queries, k), int64
        Rows of the gallery; of equal distances the lowest row comes first.
    """
    engine, options = find_engine(algorithm, queries, gallery, verbose)
    compiled = engine is not engine_numpy
    engine = importlib.import_module(_COMPILED) if compiled else asymmetric_numpy
    weights, exponents = asymmetric_numpy.weigh(real, queries)

    def find(batch, words, part, k, mask):
        return engine.nearest(queries[:, batch], weights[batch], words, part, k, mask, **options)

    sums, rows = share_nearest(find, queries, gallery, k, keep, n_jobs)
    return np.ldexp(sums.astype(np.float64), exponents[:, None]), rows
