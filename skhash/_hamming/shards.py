"""Words that are in the memory of Dask workers, and searches that run where they are.

Each chunk of a Dask array of codes becomes a *shard*: words that one worker holds. A task a shard
searches it with the same function as one process; what the shards give is merged by distance and
row, in groups, so that the answer is that of one process, ties included. Only queries, results,
labels and masks travel.
"""

import sys

import numpy as np
from sklearn.utils import gen_batches

from .._inputs.lazy import lazy_chunks
from .._libraries import import_optional
from ..codes import FORMATS, format_of, pack_read
from .engine_numpy import to_words

_GROUP = 16  # results that are merged at once
_MESSAGE = 1 << 22  # bytes that are sent at once
_RESULT = 1 << 26  # bytes of the result of one shard
_LOST = (
    "the Dask workers that held the codes are gone, or their client is closed: connect again and "
    "fit the index again."
)


class ShardedWords:
    """Words that Dask workers hold, in shards; a part is fetched when it is asked for.

    It looks like the array of words, and is indexed by words and codes: ``words[:, 100:200]``.

    Parameters
    ----------
    shards : list of Delayed
        What `shard_codes` makes of each chunk, in the memory of workers.
    block : str
        Which of its blocks.
    sizes : sequence of int
        Number of codes of each.
    like : ndarray of shape (n_words, 0)
        Words of no code.
    """

    ndim = 2

    def __init__(self, shards, block, sizes, like):
        self.shards, self.block, self.like = list(shards), block, like
        self.starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        self.dtype, self.itemsize = like.dtype, like.itemsize
        self.shape = len(like), int(self.starts[-1])

    def __len__(self):
        return self.shape[0]

    @property
    def nbytes(self):
        """Number of bytes that the workers hold."""
        return self.itemsize * self.shape[0] * self.shape[1]

    def __getitem__(self, key):
        lines, codes = key
        rows = np.arange(self.shape[1])[codes]
        words = np.empty((self.shape[0], len(rows)), dtype=self.dtype)
        of = np.searchsorted(self.starts, rows, side="right") - 1
        with _Workers(self.shards) as workers:
            places = {shard: np.flatnonzero(of == shard) for shard in np.unique(of)}
            parts = [
                workers.call(
                    _take, workers.shards[shard], self.block, rows[where] - self.starts[shard]
                )
                for shard, where in places.items()
            ]
            for where, part in zip(places.values(), workers.gather(parts), strict=True):
                words[:, where] = part
        return words[lines]

    def join(self, others):
        """Return these words and others after them; nothing is moved."""
        sizes = np.diff(np.concatenate([self.starts, self.starts[-1] + others.starts[1:]]))
        return ShardedWords(self.shards + others.shards, self.block, sizes, self.like)

    def taken(self, rows):
        """Return the words of some codes, copied where they are.

        Parameters
        ----------
        rows : ndarray of shape (n_taken,), int64
            The codes to take, ascending.

        Returns
        -------
        ShardedWords of shape (n_words, n_taken)
            Their words.
        """
        ends = np.searchsorted(rows, self.starts)
        filled = np.flatnonzero(np.diff(ends))
        with _Workers(self.shards) as workers:
            parts = []
            for number in filled:
                own = rows[ends[number] : ends[number + 1]] - self.starts[number]
                sent = workers.send(own.astype(np.uint32))
                parts.append(workers.call(_cut, workers.shards[number], self.block, sent))
            return ShardedWords(workers.hold(parts), self.block, np.diff(ends)[filled], self.like)

    def search(self, function, queries, merge, join, *, keep=None, width=1, **options):
        """Run a search on each shard and unite the results.

        Parameters
        ----------
        function : callable
            ``function(queries, words, **options)``, a function of a module, which runs on workers.
        queries : ndarray of shape (n_words, n_queries)
            Words of the queries.
        merge : callable
            Unites the results of the same queries on consecutive shards.
        join : callable
            Unites the results of consecutive queries.
        keep : ndarray of shape (n_codes,), bool, default=None
            The codes that count.
        width : int, default=1
            Bytes of the result of a query.
        **options
            What else the function takes. Arrays ``y_query`` and ``y_gallery`` are cut like the
            queries and the shards.

        Returns
        -------
        object
            What `merge` or `join` returned last.
        """
        size = max(1, min(_MESSAGE // (queries.itemsize * len(queries)), _RESULT // width))
        y_query, y_gallery = options.pop("y_query", None), options.pop("y_gallery", None)
        places = list(zip(range(len(self.shards)), self.starts, self.starts[1:], strict=False))
        if keep is not None:
            places = [place for place in places if keep[place[1] : place[2]].any()] or places
        results = []
        with _Workers(self.shards) as workers:
            for batch in gen_batches(queries.shape[1], size):
                some = workers.send(queries[:, batch])
                labels = None if y_query is None else workers.send(y_query[..., batch])
                found = []
                for number, first, end in places:
                    kept = None if keep is None or keep[first:end].all() else keep[first:end]
                    y = None if y_gallery is None else y_gallery[..., first:end]
                    sent = [None if side is None else workers.send(side) for side in (kept, y)]
                    where = workers.shards[number], self.block, first
                    found.append(
                        workers.call(_search_shard, function, *where, some, labels, *sent, options)
                    )
                while len(found) > 1:
                    found = [
                        workers.call(_merge, merge, *found[group])
                        for group in gen_batches(len(found), _GROUP)
                    ]
                results += workers.gather(found)
        return results[0] if len(results) == 1 else join(results)

    def __reduce__(self):
        raise TypeError(
            "codes in the memory of Dask workers cannot be pickled: write the index to a folder "
            "with save, which fetches them part by part."
        )


class ShardedCodes:
    """Codes of one modality that Dask workers hold as words.

    Parameters
    ----------
    words : ShardedWords
        The words.
    form : {"bits", "packed", "signs", "real"}
        Format that the codes had.
    width : int
        Number of columns that they had.
    """

    def __init__(self, words, form, width):
        self.words, self.dtype = words, FORMATS[form]
        self.shape = words.shape[1], width

    def __len__(self):
        return self.shape[0]

    def random_like(self, n_bits, rng):
        """Return as many codes of random bits, drawn on workers."""
        words = self.words
        sizes = np.diff(words.starts).tolist()
        seeds = rng.randint(2**31, size=len(sizes), dtype=np.int64).tolist()
        with _Workers(words.shards) as workers:
            shards = workers.hold(
                [
                    workers.call(_random_words, seed, size, n_bits)
                    for seed, size in zip(seeds, sizes, strict=True)
                ]
            )
        return ShardedCodes(ShardedWords(shards, "codes", sizes, words.like), "bits", n_bits)


def shard_codes(X, read):
    """Turn Dask rows into words, each chunk on the worker that has it.

    Parameters
    ----------
    X : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_columns)
        The rows. Chunks may be empty, and of unknown size.
    read : callable
        Makes codes of the rows of a chunk: a dict of str to ndarray of shape (n_rows, n_columns),
        for example of ``"image"`` and ``"text"``. It is sent to a worker once.

    Returns
    -------
    dict of str to ShardedCodes
        The codes of each modality.

    Raises
    ------
    ValueError
        If there are no rows at all, or what `read` raises.
    TypeError
        If the codes of two chunks differ in format.
    """
    dask = import_optional("dask", extra="dask", purpose="an index of Dask codes")
    shared = dask.delayed(read, traverse=False, pure=False)
    make = dask.delayed(_read_chunk, pure=False)
    shards = dask.persist(*[make(shared, chunk, n) for n, chunk in enumerate(lazy_chunks(X))])
    with _Workers(shards) as workers:
        described = workers.gather([workers.call(_describe, shard) for shard in workers.shards])
    filled = [number for number, about in enumerate(described) if about]
    if not filled:
        raise ValueError("the codes have no rows: at least one is needed.")
    abouts = [described[number] for number in filled]
    codes = {}
    for block, (form, width, like, _) in abouts[0].items():
        for number, about in zip(filled, abouts, strict=True):
            if about[block][:2] != (form, width):
                raise TypeError(
                    f"the chunks of the codes differ, got {form} codes of {width} columns in chunk "
                    f"{filled[0]} and {about[block][0]} codes of {about[block][1]} in chunk "
                    f"{number}: give codes of one dtype and length."
                )
        sizes = [about[block][3] for about in abouts]
        words = ShardedWords([shards[number] for number in filled], block, sizes, like)
        codes[block] = ShardedCodes(words, form, width)
    return codes


def _read_chunk(read, chunk, number):
    """Return the format, the width and the words of each block of codes of a chunk."""
    if not len(chunk):
        return {}
    try:
        codes = read(chunk)
    except Exception as error:
        error.add_note(f"This is chunk {number} of the Dask rows.")
        raise
    return {
        block: (format_of(part), part.shape[1], to_words(pack_read(part)))
        for block, part in codes.items()
    }


def _describe(shard):
    return {
        block: (form, width, words[:, :0].copy(), words.shape[1])
        for block, (form, width, words) in shard.items()
    }


def _random_words(seed, size, n_bits):
    bits = np.random.default_rng(seed).random((size, n_bits)) < 0.5
    return {"codes": ("bits", n_bits, to_words(np.packbits(bits, axis=1, bitorder="little")))}


def _take(shard, block, rows):
    return shard[block][-1][:, rows]


def _cut(shard, block, rows):
    """Make a shard of some codes of another."""
    form, width, words = shard[block]
    return {block: (form, width, np.ascontiguousarray(words[:, rows]))}


def _same(array):
    return array


def _merge(merge, *results):
    return merge(results)


def _concatenate(*arrays):
    return np.concatenate(arrays, axis=-1)


def _search_shard(function, shard, block, first, queries, y_query, keep, y_gallery, options):
    """Search a shard; rows count from the first of the whole gallery."""
    if keep is not None:
        options = {**options, "keep": keep}
    if y_query is not None:
        y_gallery = y_gallery.astype(y_query.dtype, copy=False)
        options = {**options, "y_query": y_query, "y_gallery": y_gallery}
    found = function(queries, shard[block][-1], **options)
    if isinstance(found, tuple):
        distances, rows, *starts = found
        found = (distances, rows + first, *starts)
    return found


class _Workers:
    """Calls functions where shards are: on the workers of their client, or in this process."""

    def __init__(self, shards):
        self.dask = import_optional("dask", extra="dask", purpose="a search on Dask workers")
        self.shards, self.client, self.lost = shards, None, ()
        if "distributed" in sys.modules:
            distributed = import_optional("dask.distributed", extra="dask", purpose="a search")
            self.lost = (distributed.client.FutureCancelledError, distributed.comm.CommClosedError)
            self._connect(distributed)

    def _connect(self, distributed):
        try:
            futures = distributed.futures_of(self.shards)
        except self.lost as error:
            raise RuntimeError(_LOST) from error
        if futures:
            self.shards, self.client = futures, futures[0].client
            if self.client.status != "running":
                raise RuntimeError(_LOST)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if isinstance(error, self.lost):
            raise RuntimeError(_LOST) from error

    def call(self, function, *arguments):
        """Return a promise of the result of a function."""
        if self.client is not None:
            return self.client.submit(function, *arguments, pure=False)
        return self.dask.delayed(function, pure=False)(*arguments)

    def send(self, array):
        """Return an array as what `call` takes: one that workers pass on, if it is large.

        The scheduler keeps what is sent, so that it outlives each worker.
        """
        if self.client is None or array.nbytes <= _MESSAGE >> 6:
            return array
        size = max(1, _MESSAGE // (array.nbytes // array.shape[-1] or 1))
        parts = [self.call(_same, array[..., part]) for part in gen_batches(array.shape[-1], size)]
        return parts[0] if len(parts) == 1 else self.call(_concatenate, *parts)

    def hold(self, promises):
        """Return promises whose results stay in memory."""
        return promises if self.client is not None else self.dask.persist(*promises)

    def gather(self, promises):
        """Wait for results."""
        if self.client is not None:
            return self.client.gather(promises)
        return list(self.dask.compute(*promises))


def small_ids(y_query, y_gallery):
    """Return ids of a gallery in the smallest type, -1 for those that no query has.

    Parameters
    ----------
    y_query, y_gallery : ndarray
        What `encode_labels` gives.

    Returns
    -------
    ndarray
        The ids, or the words of label bits as they are.
    """
    if y_gallery.ndim > 1:
        return y_gallery
    most = int(y_query.max(initial=0))
    return np.where(y_gallery > most, -1, y_gallery).astype(np.min_scalar_type(-most - 1))
