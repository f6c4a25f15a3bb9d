"""Exact search of binary codes against faiss, usearch and scikit-learn, in one thread.

Each library holds the same codes in its own format, prepared beforehand, and finds the k nearest
codes of the same queries. All libraries of a table run interleaved in one process, once per round.
The table has the median time per query, and faiss's median divided by that of the library, with the
range over rounds. For faiss, the index is ``IndexBinaryFlat``; for usearch, the exact search of
packed bits; for scikit-learn, the brute-force ``NearestNeighbors(metric="hamming")``. The two
slowest get fewer queries (scikit-learn also fewer codes), and their times are scaled, as the output
says. Codes are uniformly random, or clustered: 1,000 centres with a tenth of the bits flipped.

Further tables compare the search for all codes within a radius with that of faiss, a single query
with the memory bandwidth measured in the same rounds, an index with ids with faiss, an index with
half of its items removed with an index of the remaining items, a search with a filter with one
without, and two threads with one. The last ones show the growth of time with the number of codes
and of queries, and the time of compilation in two fresh processes that share a cache.

Run it with ``python benchmarks/knn.py [--quick] [--k 10 100 1000] [--only search cost]``. With
``--processor avx2`` or ``avx512``, faiss and the compiled engine use only the instructions of x86
processors since Haswell or Skylake-X, where the machine is newer; NumPy uses all.
"""

import argparse
import os
import sys
import tempfile
import time
from functools import partial
from unittest import mock

os.environ["OMP_NUM_THREADS"] = "1"

import faiss
import numba
import numpy as np
import usearch.index
from _timing import (
    check,
    cost_table,
    header,
    in_fresh_process,
    line,
    load,
    race,
    speedup,
    verdict,
)
from sklearn.neighbors import NearestNeighbors

from skhash._hamming import search as _search
from skhash._hamming.comparable import comparable
from skhash._ranking.relevance import encode_labels
from skhash.retrieval import HammingRetriever

BARS = {  # of faiss, at k = 10 and within a radius
    ("skhash numba", 16): 40,
    ("skhash numba", 64): 9,
    ("skhash numba", 128): 6,
    ("skhash numba", 256): 3,
    ("skhash numpy", 64): 0.55,
    "within": 4,
}
SINGLE_BAR, BANDWIDTH_BAR, THREADS_BAR, COMPILED_BAR = 3, 0.8, 1.8, 1.0
RADII = {64: 16, 128: 42, 256: 98}  # by the number of bits
IDS_BAR, REMOVED_BAR, FILTER_BAR = 10, 1.2, 5
SHORT = {"faiss flat": "faiss", "kneighbors": "rest", "search, wi": "search"}
_AVX2 = "+sse,+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt,+avx,+avx2,+bmi,+bmi2,+lzcnt,+fma"
_AVX512 = f"{_AVX2},+avx512f,+avx512bw,+avx512cd,+avx512dq,+avx512vl"
PROCESSORS = {  # name and features for the compiler, and the level of faiss
    "avx2": ("haswell", _AVX2, "avx2"),
    "avx512": ("skylake-avx512", _AVX512, "avx512"),
}
FEW, FEWER = 20, 5  # queries of usearch, of scikit-learn


def random_codes(rng, n_codes, n_bits):
    return rng.integers(0, 256, (n_codes, n_bits // 8), dtype=np.uint8)


def clustered_codes(rng, n_codes, n_bits, centres):
    flipped = rng.integers(0, 10, (n_codes, n_bits), dtype=np.uint8) == 0
    return centres[rng.integers(len(centres), size=n_codes)] ^ np.packbits(flipped, axis=1)


def make_codes(kind, n_queries, n_codes, n_bits):
    """Draw packed queries and packed codes."""
    rng = np.random.default_rng(n_bits)
    draw = random_codes
    if kind == "clustered":
        draw = partial(clustered_codes, centres=random_codes(rng, 1000, n_bits))
    return draw(rng, n_queries, n_bits), draw(rng, n_codes, n_bits)


def skhash_search(queries, codes, k, algorithm, **options):
    return partial(_search.nearest, *comparable(queries, codes), k, algorithm=algorithm, **options)


def faiss_search(queries, codes, k):
    index = faiss.IndexBinaryFlat(8 * codes.shape[1])
    index.add(codes)
    return partial(index.search, queries, k)


def usearch_search(queries, codes, k):
    metric = usearch.index.MetricKind.Hamming
    return partial(usearch.index.search, codes, queries, k, metric, exact=True, threads=1)


def sklearn_search(queries, codes, k):
    # float64 is the dtype it is fastest with: its compiled kernel takes no bits.
    queries, codes = (np.unpackbits(c, axis=1).astype(np.float64) for c in (queries, codes))
    search = NearestNeighbors(n_neighbors=k, metric="hamming", algorithm="brute", n_jobs=1)
    return partial(search.fit(codes).kneighbors, queries)


def three_engines(queries, codes, k):
    return {
        "faiss flat": faiss_search(queries, codes, k),
        "skhash numba": skhash_search(queries, codes, k, "numba"),
        "skhash numpy": skhash_search(queries, codes, k, "numpy"),
    }


def oracle(queries, codes, k):
    """Return distances and rows of a stable argsort of all distances."""
    distances = np.array([np.bitwise_count(codes ^ q).sum(axis=1, dtype=np.int32) for q in queries])
    rows = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, rows, axis=1), rows


def search(options):
    """Time a batch of queries, for each kind and length of codes and each k."""
    for kind in ("random", "clustered"):
        for n_bits in options.bits:
            queries, codes = make_codes(kind, options.queries, options.codes, n_bits)
            for k in options.k:
                search_one(kind, n_bits, k, queries, codes, options.rounds)


def search_one(kind, n_bits, k, queries, codes, rounds):
    n_codes = max(k, len(codes) // 10)
    few, fewer = f"usearch exact ({FEW} queries)", f"scikit-learn ({FEWER} on {n_codes:,} codes)"
    contenders = three_engines(queries, codes, k) | {
        few: usearch_search(queries[:FEW], codes, k),
        fewer: sklearn_search(queries[:FEWER], codes[:n_codes], k),
    }
    seconds, answers = race(contenders, rounds)
    seconds[few] *= len(queries) / FEW
    seconds[fewer] *= len(queries) / FEWER * len(codes) / n_codes

    line(
        f"{kind}, {len(codes):,} codes, {n_bits} bits, k = {k}",
        "ms a query",
        "ratio to faiss",
        "bar",
    )
    for name, times in seconds.items():
        ratio, text = speedup(seconds["faiss flat"], times)
        bar = BARS.get((name, n_bits)) if k == 10 else None
        milliseconds = f"{1000 * np.median(times) / len(queries):.4f}"
        line(name, milliseconds, text, verdict(ratio, bar))

    distances, rows = answers["skhash numpy"]
    check(
        "both engines give faiss's distances, and the same rows",
        np.array_equal(answers["faiss flat"][0], distances)
        and np.array_equal(answers["skhash numba"][0], distances)
        and np.array_equal(answers["skhash numba"][1], rows),
    )
    true_distances, true_rows = oracle(queries[:FEW], codes, k)
    fewer_distances, _ = oracle(queries[:FEWER], codes[:n_codes], k)
    check(
        f"they are a stable argsort's ({FEW} queries), usearch and scikit-learn have its distances",
        np.array_equal(distances[:FEW], true_distances)
        and np.array_equal(rows[:FEW], true_rows)
        and np.array_equal(answers[few].distances, true_distances)
        and np.array_equal(np.rint(answers[fewer][0] * n_bits), fewer_distances),
    )
    print()


def within(options):
    """Time the search for all codes within a radius, which finds some dozens for a query."""
    for n_bits, radius in RADII.items():
        queries, codes = make_codes("random", options.queries // 5, options.codes, n_bits)
        index = faiss.IndexBinaryFlat(n_bits)
        index.add(codes)
        words = comparable(queries, codes)
        contenders = {"faiss flat": partial(index.range_search, queries, radius + 1)} | {
            f"skhash {name}": partial(_search.within_radius, *words, radius, algorithm=name)
            for name in ("numba", "numpy")
        }
        seconds, answers = race(contenders, options.rounds)
        starts, distances, rows = answers["faiss flat"]
        n_found = len(rows) / len(queries)
        title = f"within a radius of {radius}, {n_bits} bits: {n_found:.0f} a query"
        line(title, "ms a query", "ratio to faiss", "bar")
        for name, times in seconds.items():
            ratio, text = speedup(seconds["faiss flat"], times)
            bar = BARS.get("within") if name == "skhash numba" else None
            line(name, f"{1000 * np.median(times) / len(queries):.4f}", text, verdict(ratio, bar))
        owner = np.repeat(np.arange(len(queries)), np.diff(starts.astype(np.int64)))
        order = np.lexsort((rows, distances, owner))
        expected = distances[order], rows[order], starts
        same = (map(np.array_equal, answers[f"skhash {e}"], expected) for e in ("numba", "numpy"))
        check("both engines find what faiss does", all(map(all, same)))
        print()


@numba.njit
def sum_words(words):
    total = np.uint64(0)
    for word in words:
        total += word
    return total


def single(options):
    """Time one query at a time on codes that no cache holds, beside reads of as many bytes."""
    queries, codes = make_codes("random", 1, options.single_codes, 64)
    words = np.random.default_rng(0).integers(0, 1 << 63, len(codes), dtype=np.uint64)
    reads = {
        "read: numba sum of uint64": partial(sum_words, words),
        "read: np.sum of uint64": partial(np.sum, words),
    }
    copy = {"read and write: np.copyto": partial(np.copyto, np.empty_like(words), words)}
    seconds, answers = race(three_engines(queries, codes, 10) | reads | copy, 5 * options.rounds)
    best = min((seconds[name] for name in reads), key=np.median)

    line(f"a single query, {len(codes):,} codes, 64 bits", "ms", "ratio to faiss", "bar")
    for name in ("faiss flat", "skhash numba", "skhash numpy"):
        ratio, text = speedup(seconds["faiss flat"], seconds[name])
        bar = verdict(ratio, SINGLE_BAR if name == "skhash numba" else None)
        line(name, f"{1000 * np.median(seconds[name]):.3f}", text, bar)
    line("", "GB/s read", "share of the best read", "bar")
    for name in (*reads, *copy, "faiss flat", "skhash numba", "skhash numpy"):
        share, text = speedup(best, seconds[name])
        bar = verdict(share, BANDWIDTH_BAR if name == "skhash numba" else None)
        line(name, f"{words.nbytes / np.median(seconds[name]) / 1e9:.2f}", text, bar)
    distances, rows = oracle(queries, codes, 10)
    for name in ("skhash numba", "skhash numpy"):
        same = map(np.array_equal, answers[name], (distances, rows))
        check(f"distances and rows of {name} are a stable argsort's", all(same))
    print()


def index(options):
    """Time an index with ids: of all items, of half of them, of those that pass a filter."""
    for n_queries in (options.queries, 1):
        index_one(*make_codes("random", n_queries, options.codes, 64), options.rounds)


def index_one(queries, codes, rounds):
    rng, ids = np.random.default_rng(0), np.array([f"{row}.jpg" for row in range(len(codes))])
    kept, few, some = (rng.random(len(codes)) < share for share in (0.5, 0.01, 0.1))
    make = partial(HammingRetriever, 10, algorithm="numba", n_jobs=1)
    whole, one, half = (make().fit(codes, ids=ids) for _ in range(3))
    one.remove(ids[:1])
    half.remove(ids[~kept])
    rest = make().fit(codes[kept], ids=ids[kept])
    contenders = {
        "faiss flat": faiss_search(queries, codes, 10),
        "kneighbors, with ids": partial(whole.kneighbors, queries),
        "kneighbors, one item removed": partial(one.kneighbors, queries),
        "kneighbors, half of the items removed": partial(half.kneighbors, queries),
        "kneighbors, an index of the rest alone": partial(rest.kneighbors, queries),
        "search, with ids": partial(whole.search, queries),
        "search, where 10 % pass": partial(whole.search, queries, where=some),
        "search, where 1 % pass": partial(whole.search, queries, where=few),
        "search, one of a group of five": partial(
            whole.search, queries, groups=np.arange(len(codes)) // 5
        ),
    }
    seconds, answers = race(contenders, rounds if len(queries) > 1 else 5 * rounds)
    many = len(queries) > 1  # bars are for many queries
    names = list(contenders)
    against = {names[4]: names[4], names[3]: names[4]} | dict.fromkeys(names[5:], names[5])
    line(
        f"an index, {len(codes):,} codes, 64 bits, {len(queries):,} queries",
        "ms a query",
        "ratio to",
        "bar",
    )
    for name in names:
        base = against.get(name, names[0])
        ratio, text = speedup(seconds[base], seconds[name])
        bar = ""
        if many and name in names[1:3]:
            bar = verdict(ratio, IDS_BAR)
        elif many and name == names[3]:
            bar = verdict(1 / ratio, REMOVED_BAR, below=True)
        elif many and name == names[7]:
            bar = verdict(ratio, FILTER_BAR)
        milliseconds = f"{1000 * np.median(seconds[name]) / len(queries):.4f}"
        line(name, milliseconds, f"{text}, {SHORT[base[:10]]}", bar)
    distances, rows = answers[names[3]]
    check(
        "what is left has the distances and rows of an index of the rest",
        np.array_equal(distances, answers[names[4]][0])
        and np.array_equal(rows, np.flatnonzero(kept)[answers[names[4]][1]]),
    )
    alone = make().fit(codes[few], ids=ids[few]).search(queries)
    check("a filter finds what an index of what passes finds", answers[names[7]].equals(alone))
    print()


def threads(options):
    """Time two threads against one."""
    queries, codes = make_codes("random", options.queries, options.codes, 64)
    print(f"  {load()}; the bar is meant for a machine that does nothing else")
    line("two threads, 64 bits, k = 10", "ms a query", "ratio to one thread", "bar")
    for algorithm in ("numba", "numpy"):
        both = {n: skhash_search(queries, codes, 10, algorithm, n_jobs=n) for n in (1, 2)}
        seconds, answers = race(both, options.rounds)
        ratio, text = speedup(seconds[1], seconds[2])
        milliseconds = f"{1000 * np.median(seconds[2]) / len(queries):.4f}"
        line(f"skhash {algorithm}", milliseconds, text, verdict(ratio, THREADS_BAR))
        check(
            f"{algorithm}: two threads give one's answers",
            all(map(np.array_equal, *answers.values())),
        )
    print()


def cost(options):
    """Time growing numbers of codes, then of queries."""
    queries, codes = make_codes("random", max(options.cost_queries), max(options.cost_codes), 64)
    few = queries[: options.cost_queries[len(options.cost_queries) // 2]]
    some = codes[: options.cost_codes[len(options.cost_codes) // 2]]
    print(f"  64 bits, k = 10: {len(few):,} queries, then {len(some):,} codes")
    cost_table("codes", options.cost_codes, lambda n: three_engines(few, codes[:n], 10), 3)
    cost_table("queries", options.cost_queries, lambda n: three_engines(queries[:n], some, 10), 3)
    print()


def first_calls():
    """Time the first call of each kind; the imports at the top of this file are not counted."""
    seconds = {}
    for n_bits in (64, 16, 256):
        queries, codes = comparable(*make_codes("random", 100, 10_000, n_bits))
        started = time.perf_counter()
        _search.nearest(queries, codes, 10, algorithm="numba")
        seconds[f"search, {n_bits} bits"] = time.perf_counter() - started
    queries, codes = comparable(*make_codes("random", 100, 10_000, 64))
    labels = np.random.default_rng(0).random((10_000, 24)) < 0.1
    labels = encode_labels(labels[:100], labels, 100, 10_000)
    started = time.perf_counter()
    _search.histograms(queries, codes, *labels, algorithm="numba")
    seconds["histograms, 64 bits, 24 labels"] = time.perf_counter() - started
    return seconds


def compiling(options):
    """Time the first calls of two processes, one after the other, with a cache of their own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.dict(os.environ, NUMBA_CACHE_DIR=folder),
    ):
        first, second = in_fresh_process(first_calls), in_fresh_process(first_calls)
    line("first calls, seconds, in this order", "first process", "second process", "bar")
    first["sum"], second["sum"] = sum(first.values()), sum(second.values())
    for name in first:
        bar = verdict(second[name], COMPILED_BAR, below=True)
        line(name, f"{first[name]:.3f}", f"{second[name]:.3f}", bar)
    print()


SECTIONS = {f.__name__: f for f in (search, within, single, index, threads, cost, compiling)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--codes", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--bits", type=int, nargs="+", default=[16, 64, 128, 256])
    parser.add_argument("--k", type=int, nargs="+", default=[10])
    parser.add_argument("--single-codes", type=int, default=10_000_000)
    parser.add_argument(
        "--cost-codes", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000]
    )
    parser.add_argument("--cost-queries", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--quick", action="store_true", help="small sizes; the bars mean little")
    parser.add_argument("--processor", choices=PROCESSORS)
    options = parser.parse_args()
    if options.processor and "FAISS_OPT_LEVEL" not in os.environ:  # before anything is imported
        names = "NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "FAISS_OPT_LEVEL"
        chosen = dict(zip(names, PROCESSORS[options.processor], strict=True))
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | chosen)
    if options.processor:
        BARS.clear()  # they are those of the newest processors
    if options.quick:
        options.codes, options.queries, options.single_codes = 50_000, 100, 1_000_000
        options.cost_codes, options.rounds = [1000, 10_000, 100_000], 3
    faiss.omp_set_num_threads(1)
    print(__doc__)
    header("numpy", "numba", "faiss-cpu", "usearch", "scikit-learn")
    level = options.processor or "all instructions of the processor"
    print(f"faiss: {faiss.get_compile_options().strip()}; used: {level}\n")
    for name in options.only:
        SECTIONS[name](options)


if __name__ == "__main__":
    main()
