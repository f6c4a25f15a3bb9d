"""Search of codes on Dask workers: scaling from one worker to two, and the overhead of a call.

A worker is a process with one thread. The workers draw the codes, and the index is fitted to the
Dask array, so no codes pass through the calling process. The output has the median time of a fit,
and the median time of a search by one process without Dask, by one worker and by two, for several
numbers of queries. The overhead is the time of a search of a few codes, where the comparisons take
hardly any time. All results are compared with those of one process.

Run it with ``python benchmarks/sharded.py [--rows 20_000_000] [--shards 8]``.
"""

import argparse
import os
import time

os.environ["OMP_NUM_THREADS"] = "1"

import dask
import dask.array as da
import numpy as np
from _timing import check, header, line
from distributed import Client, LocalCluster

from skhash._hamming.shards import ShardedWords
from skhash.retrieval import HammingRetriever

BITS, K, ROUNDS = 64, 10, 5
QUERIES = (1, 100, 1000)
FEW = 1000  # codes that cost nothing to search


def draw(block_info=None):
    """Draw the codes of a chunk, the same wherever it is drawn."""
    (first, last), _ = block_info[None]["array-location"]
    rng = np.random.default_rng(first)
    return rng.integers(0, 256, (last - first, BITS // 8), dtype=np.uint8)


def lazy_codes(n_rows, n_shards):
    size = -(-n_rows // n_shards)
    chunks = tuple(min(size, n_rows - start) for start in range(0, n_rows, size))
    like = {"dtype": np.uint8, "meta": np.empty((0, 0), np.uint8)}
    return da.map_blocks(draw, chunks=(chunks, (BITS // 8,)), **like)


def seconds(function):
    times = []
    for _ in range(ROUNDS + 1):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return np.median(times[1:])


def searches(index, queries):
    """Return the median time of a search for each number of queries, and the last answer."""
    times = [seconds(lambda n=n: index.kneighbors(queries[:n], K)) for n in QUERIES]
    return times, index.kneighbors(queries, K)


def in_one_process(n_rows, n_shards, queries):
    with dask.config.set(scheduler="synchronous"):
        codes = lazy_codes(n_rows, n_shards).compute()
    return searches(HammingRetriever().fit(codes), queries)


def on_workers(n_workers, n_rows, n_shards, queries):
    local = {"n_workers": n_workers, "threads_per_worker": 1, "dashboard_address": ":0"}
    with LocalCluster(**local) as cluster, Client(cluster):
        started = time.perf_counter()
        index = HammingRetriever().fit(lazy_codes(n_rows, n_shards))
        fit = time.perf_counter() - started
        check("the codes are on the workers", isinstance(index.words_["codes"], ShardedWords))
        few = HammingRetriever().fit(lazy_codes(FEW * n_shards, n_shards))
        times, answer = searches(index, queries)
        overhead, _ = searches(few, queries)  # after the workers have loaded the engine
    return fit, overhead, times, answer


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--shards", type=int, default=8)
    options = parser.parse_args()
    header("dask", "distributed", "numba", "numpy")
    sizes = options.rows, options.shards
    queries = np.random.default_rng(1).integers(0, 256, (max(QUERIES), BITS // 8), dtype=np.uint8)
    print(f"{options.rows:,} codes of {BITS} bits in {options.shards} shards, k = {K}")
    line("seconds by queries", *(f"{n:,}" for n in QUERIES), "fit")
    alone, expected = in_one_process(*sizes, queries)
    line("one process without Dask", *(f"{s:.4f}" for s in alone))
    runs = {}
    for n_workers in (1, 2):
        fit, overhead, times, answer = on_workers(n_workers, *sizes, queries)
        runs[n_workers] = times
        name = f"{n_workers} worker{'s' * (n_workers > 1)}"
        line(name, *(f"{s:.4f}" for s in times), f"{fit:.2f}")
        line(f"{name}: overhead", *(f"{s:.4f}" for s in overhead))
        for one, other in zip(answer, expected, strict=True):
            check(f"{name} answer as one process", np.array_equal(one, other))
    ratios = [one / two for one, two in zip(runs[1], runs[2], strict=True)]
    line("1 worker / 2 workers", *(f"{ratio:.2f}" for ratio in ratios))


if __name__ == "__main__":
    main()
