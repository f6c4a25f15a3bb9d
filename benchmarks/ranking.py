"""Time of mean average precision over a full ranking, compared with two loops of research code.

The two loops are written here from their definition: ``calc_map_k`` (a torch loop over the queries,
in the code of DCMH and its successors) and ``calculate_top_map`` (a NumPy loop, in the code of
DJSRH and its successors). They get the input with which they are fastest: float32 signs and float32
labels. This library gets bits and integer labels, so its time includes packing both. All run
interleaved in one process and one thread, once per round. The output has the medians, and the
median of a loop divided by ours, with the range over rounds. The loops, and this library with
``ties="index"``, rank only a part of the queries, and their times are scaled, as the output says.
Peak memory is the increase of the resident memory of a fresh process during one call, without its
inputs.

Ties: in the loops, their order depends on the sort. The loops are timed with the default sort of
their library and checked with a stable one, which equals ``ties="index"`` exactly. The required
ratios are for the default of this library, ``"expected"``.

Run it with ``python benchmarks/ranking.py [--quick]``.
"""

import argparse
import os
import tempfile
from functools import partial
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from _timing import (
    check,
    cost_table,
    header,
    in_fresh_process,
    line,
    peak_memory,
    race,
    speedup,
    verdict,
)
from sklearn.metrics import ndcg_score

from skhash._hamming.comparable import comparable
from skhash._ranking.scores import average_precisions
from skhash.metrics import ndcg_at_k, precision_at_k

N_BITS = 64
SIZES = {  # queries, items, labels, least ratio to calc_map_k with numba and with NumPy
    "small": (2000, 18_000, 24, 100, 20),
    "large": (5000, 100_000, 80, 130, 18),
    "quick": (200, 5000, 24, 100, 20),
}
PEERS = ("calc_map_k", "calculate_top_map")
INDEX = 'skhash numba, ties="index"'
PARTIAL = (*PEERS, INDEX)  # they rank a part of the queries


def calc_map_k(queries, items, y_query, y_item, stable=False):
    """Return the average precision of each query, as the DCMH line of code defines it.

    For each query: an item is relevant if the product of the label rows is positive; distances are
    (bits - product of the signs) / 2; sort; at the i-th relevant item the precision is i over its
    rank; the mean over the relevant items. A query without any counts 0.
    """
    scores = torch.zeros(len(queries))
    for i in range(len(queries)):
        relevant = (y_query[i : i + 1] @ y_item.T > 0).float().squeeze(0)
        n_relevant = int(relevant.sum())
        if n_relevant == 0:
            continue
        distances = 0.5 * (queries.shape[1] - queries[i : i + 1] @ items.T).squeeze(0)
        order = torch.sort(distances, stable=stable)[1]
        ranks = torch.nonzero(relevant[order]).squeeze(1) + 1
        scores[i] = (torch.arange(1, n_relevant + 1) / ranks).mean()
    return scores.numpy()


def calculate_top_map(queries, items, y_query, y_item, stable=False):
    """Return the average precision of each query, as the DJSRH line of code defines it.

    The same as `calc_map_k` where the cut-off is the number of items, with NumPy.
    """
    scores = np.zeros(len(queries))
    for i, (query, labels) in enumerate(zip(queries, y_query, strict=True)):
        relevant = (labels @ y_item.T > 0).astype(np.float32)
        distances = 0.5 * (queries.shape[1] - query @ items.T)
        relevant = relevant[np.argsort(distances, kind="stable" if stable else None)]
        ranks = np.flatnonzero(relevant) + 1
        if len(ranks):
            scores[i] = np.mean(np.arange(1, len(ranks) + 1) / ranks)
    return scores


def skhash_scores(queries, items, y_query, y_item, algorithm="auto", ties="expected"):
    return average_precisions(
        *comparable(queries, items),
        y_query,
        y_item,
        k=None,
        ties=ties,
        normalize="hits",
        n_jobs=1,
        algorithm=algorithm,
    )


def make_data(n_queries, n_items, n_labels, n_bits=N_BITS):
    """Draw codes that tell something of their labels: (queries, items, y_query, y_item)."""
    rng = np.random.default_rng(n_items)
    n = n_queries + n_items
    labels = rng.random((n, n_labels), dtype=np.float32) < 2 / n_labels
    labels[np.arange(n), rng.integers(n_labels, size=n)] = True
    projection = rng.standard_normal((n_labels, n_bits), dtype=np.float32)
    noise = rng.standard_normal((n, n_bits), dtype=np.float32)
    codes = labels.astype(np.float32) @ projection + 2 * noise >= 0
    labels = labels.astype(np.int64)
    return codes[:n_queries], codes[n_queries:], labels[:n_queries], labels[n_queries:]


def numpy_arrays(queries, items, y_query, y_item):
    """Turn bits into signs, and both codes and labels into float32."""
    signs = [np.where(codes, np.float32(1), np.float32(-1)) for codes in (queries, items)]
    return *signs, y_query.astype(np.float32), y_item.astype(np.float32)


def torch_arrays(*data):
    return tuple(map(torch.from_numpy, numpy_arrays(*data)))


CONTENDERS = {
    "calc_map_k": (calc_map_k, torch_arrays),
    "calculate_top_map": (calculate_top_map, numpy_arrays),
    "skhash numba": (partial(skhash_scores, algorithm="numba"), None),
    "skhash numpy": (partial(skhash_scores, algorithm="numpy"), None),
    INDEX: (partial(skhash_scores, algorithm="numba", ties="index"), None),
}


def prepared(name, data, **options):
    function, form = CONTENDERS[name]
    return partial(function, *(data if form is None else form(*data)), **options)


def full_ranking(options):
    """Time and check mean average precision, with the memory beside it."""
    for n_queries, n_items, n_labels, numba_bar, numpy_bar in map(SIZES.get, options.sizes):
        data = make_data(n_queries, n_items, n_labels)
        n_part = min(options.peer_queries, n_queries)
        part = data[0][:n_part], data[1], data[2][:n_part], data[3]
        contenders = {
            name: prepared(name, part if name in PARTIAL else data) for name in CONTENDERS
        }
        seconds, answers = race(contenders, options.rounds)
        for name in PARTIAL:
            seconds[name] *= n_queries / n_part

        line(
            f"{n_queries:,} x {n_items:,}, {n_labels} labels",
            "seconds",
            "calc_map_k / it",
            "bar",
            "calculate_top_map / it",
            "memory, MB",
        )
        bars = {"skhash numba": numba_bar, "skhash numpy": numpy_bar}
        for name, times in seconds.items():
            ratios = [speedup(seconds[peer], times) for peer in PEERS]
            bar = verdict(ratios[0][0], bars.get(name))
            cells = ratios[0][1], bar, ratios[1][1], megabytes(name, data)
            line(name, f"{np.median(times):.4f}", *cells)
        print(f"  (peers and index order ranked {n_part:,} queries, all of their time is scaled)")
        check_scores(part, answers["skhash numba"][:n_part], answers["skhash numpy"][:n_part])
        print()


def check_scores(data, expected, expected_numpy):
    check("both engines agree", np.allclose(expected, expected_numpy, rtol=1e-12))
    index = skhash_scores(*data, ties="index")
    for name, tolerance in (("calc_map_k", 1e-5), ("calculate_top_map", 1e-12)):
        peer = prepared(name, data, stable=True)()  # calc_map_k adds up in single precision
        check(
            f'ties="index" = {name} with a stable sort, to {tolerance}, mAP {peer.mean():.6f}',
            np.allclose(index, peer, rtol=tolerance),
        )
    bounds = [skhash_scores(*data, ties=ties) for ties in ("pessimistic", "optimistic")]
    low, middle, high = (f"{scores.mean():.6f}" for scores in (bounds[0], expected, bounds[1]))
    check(
        f"{low} <= {middle} <= {high}: the expected value is within the bounds of every query",
        np.all(bounds[0] <= expected + 1e-12) and np.all(expected <= bounds[1] + 1e-12),
    )


def megabytes(name, data):
    """Measure one call in a fresh process, which reads the data from files."""
    with tempfile.TemporaryDirectory() as folder:
        for i, array in enumerate(data):
            np.save(Path(folder) / f"{i}.npy", array)
        peak = in_fresh_process(peak_of, name, folder, min(50, len(data[0])))
    return "not measured" if peak is None else f"{peak / 1e6:.1f}"


def peak_of(name, folder, n_peer_queries):
    data = [np.load(Path(folder) / f"{i}.npy") for i in range(4)]
    if name in PARTIAL:  # they hold nothing from one query to the next
        data[0], data[2] = data[0][:n_peer_queries], data[2][:n_peer_queries]
    few = (data[0][:20], data[1][:200], data[2][:20], data[3][:200])
    prepared(name, few)()  # imports and compiles
    return peak_memory(prepared(name, data))


def other_metrics(options):
    """Time NDCG beside scikit-learn's, and precision at three cut-offs, by public functions."""
    n_queries, n_items, n_labels, *_ = SIZES[options.sizes[0]]
    n_peer = 20
    data = make_data(n_queries, n_items, n_labels)
    queries, items, y_query, y_item = numpy_arrays(*data)
    similarity, grades = queries[:n_peer] @ items.T, y_query[:n_peer] @ y_item.T
    peer = f"ndcg_score ({n_peer} queries)"
    contenders = {
        peer: partial(ndcg_score, grades, similarity),
        "skhash ndcg_at_k": partial(ndcg_at_k, *data, per_query=True, n_jobs=1),
        "skhash precision_at_k": partial(precision_at_k, *data, k=[10, 100, 1000], n_jobs=1),
    }
    seconds, answers = race(contenders, options.rounds)
    seconds[peer] *= n_queries / n_peer
    line(f"{n_queries:,} x {n_items:,}, {n_labels} labels", "seconds", "ndcg_score / it")
    for name, times in seconds.items():
        ratio = "" if "precision" in name else speedup(seconds[peer], times)[1]
        line(name, f"{np.median(times):.4f}", ratio)
    print("  (scikit-learn's is scaled, and given the distances and grades, which ours computes)")
    ours = answers["skhash ndcg_at_k"][:n_peer].mean()
    check(f"mean NDCG is scikit-learn's, {ours:.6f}", np.isclose(ours, answers[peer], rtol=1e-6))
    print()


def cost(options):
    """Time growing numbers of items, then of queries."""
    items, queries = options.cost_items, options.cost_queries
    data = make_data(max(queries), max(items), 24)
    names = "skhash numba", "skhash numpy"
    few, some = queries[0], items[0]

    def contenders(n_queries, n_items):
        part = data[0][:n_queries], data[1][:n_items], data[2][:n_queries], data[3][:n_items]
        return {name: prepared(name, part) for name in names}

    print(f"  cost, 24 labels: {few:,} queries, then {some:,} items")
    cost_table("items", items, lambda n: contenders(few, n), 3)
    cost_table("queries", queries, lambda n: contenders(n, some), 3)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["small", "large"])
    parser.add_argument("--peer-queries", type=int, default=200)
    parser.add_argument("--cost-items", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--cost-queries", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="small sizes; the bars mean little")
    options = parser.parse_args()
    if options.quick:
        options.sizes, options.peer_queries, options.rounds = ["quick"], 50, 3
        options.cost_items, options.cost_queries = [1000, 10_000, 100_000], [10, 100, 1000]
    torch.set_num_threads(1)
    print(__doc__)
    header("numpy", "numba", "torch", "scikit-learn")
    full_ranking(options)
    other_metrics(options)
    cost(options)


if __name__ == "__main__":
    main()
