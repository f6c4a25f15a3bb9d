"""Seconds per epoch of CFRH, compared with the machine's rate of matrix products.

Pairs of 512 image and 1,386 text features, 64 bits, batches of 128, hidden width 1,024, one thread:
the loss is computed on each batch and a step of AdamW is taken. The floating point operations of an
epoch are those of the products of weights with features, forward and backward (a product and its
two gradients). The output compares their rate with that of ``torch.matmul`` on matrices of the same
size, which shows how much faster training could be. ``--threads 1 2`` compares numbers of threads,
and ``--batch 128 512`` batch sizes. ``--against FOLDER`` also times another checkout of the
library, alternating with this one.

Run it with ``python benchmarks/train.py [--quick]``.
"""

import argparse
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from _timing import exponent, header, line, peak_memory, speedup, turns

from skhash.hashing import CFRHHasher

N_IMAGE, N_TEXT, N_BITS, HIDDEN = 512, 1386, 64, 1024


def make_pairs(n_samples):
    """Draw features of pairs that share 24 topics, (n_samples, 512 + 1386), float32."""
    rng = np.random.default_rng(0)
    topics = rng.standard_normal((n_samples, 24), dtype=np.float32)
    directions = rng.standard_normal((24, N_IMAGE + N_TEXT), dtype=np.float32)
    return topics @ directions + rng.standard_normal((n_samples, N_IMAGE + N_TEXT), dtype="f4")


def fit(X, make=CFRHHasher, **parameters):
    """Fit a hasher of 64 bits and hidden width 1,024 on the CPU."""
    settings = {"n_image_features": N_IMAGE, "hidden_units": HIDDEN, "random_state": 0}
    return make(N_BITS, device="cpu", **settings | parameters).fit(X)


def seconds_an_epoch(X, make=CFRHHasher, *, n_jobs=1, epochs=2, **parameters):
    """Time an epoch: the difference of two trainings of one and of more epochs, after a third."""
    # One thread: CPU seconds, which other processes disturb least.
    clock = time.perf_counter if n_jobs > 1 else time.process_time
    spent = []
    for max_iter in (1, 1, 1 + epochs):
        started = clock()
        fit(X, make, max_iter=max_iter, n_jobs=n_jobs, **parameters)
        spent.append(clock() - started)
    return (spent[2] - spent[1]) / epochs


def product_rate(batch_size):
    """Return the floating point operations a second of a batch times the hidden layer."""
    a, b = torch.rand(batch_size, N_TEXT), torch.rand(N_TEXT, HIDDEN)
    best = np.inf
    for _ in range(30):
        started = time.perf_counter()
        for _ in range(10):
            a @ b
        best = min(best, (time.perf_counter() - started) / 10)
    return 2 * batch_size * N_TEXT * HIDDEN / best


def operations(n_samples):
    """Count the floating point operations of the products of an epoch."""
    weights = sum(d * HIDDEN + HIDDEN * N_BITS + N_BITS * d for d in (N_IMAGE, N_TEXT))
    return 3 * 2 * n_samples * weights - 2 * n_samples * HIDDEN * (N_IMAGE + N_TEXT)


def in_checkout(folder, n_samples, epochs):
    """Time an epoch in a process of its own that imports the library from a folder."""
    code = (
        f"import sys; sys.path[:0] = [{str(folder)!r}, {str(Path(__file__).parent)!r}]\n"
        "import torch, train; torch.set_num_threads(1)\n"
        f"print(train.seconds_an_epoch(train.make_pairs({n_samples}), epochs={epochs}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=folder
    )
    return float(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[5000, 20_000, 100_000])
    parser.add_argument("--batch", type=int, nargs="+", default=[128, 512])
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--against", type=Path, help="another checkout of the library")
    parser.add_argument("--quick", action="store_true", help="2,000 rows, two rounds")
    options = parser.parse_args()
    rows, rounds = ([2000], 2) if options.quick else (options.rows, options.rounds)
    print(__doc__)
    header("numpy", "torch", "scikit-learn")

    if options.against:
        here = Path(__file__).parents[1]
        folders = {"this checkout": here, "the other one": options.against.resolve()}
        seconds = {name: np.empty(rounds) for name in folders}
        for number, name in turns(folders, rounds):
            seconds[name][number] = in_checkout(folders[name], rows[0], epochs=2)
        for name, spent in seconds.items():
            line(name, f"{np.median(spent):.3f} s an epoch")
        line("other / this", speedup(seconds["the other one"], seconds["this checkout"])[1])
        return

    for batch_size in options.batch:
        for threads in options.threads:
            torch.set_num_threads(threads)
            rate = product_rate(batch_size)
            print(f"batch {batch_size}, {threads} threads, products {rate / 1e9:.0f} Gflop/s")
            medians = []
            for n_samples in rows:
                X = make_pairs(n_samples)
                spent = [
                    seconds_an_epoch(X, batch_size=batch_size, n_jobs=threads)
                    for _ in range(rounds)
                ]
                medians.append(np.median(spent))
                share = operations(n_samples) / rate / medians[-1]
                peak = peak_memory(partial(fit, X, max_iter=1, batch_size=batch_size))
                memory = "" if peak is None else f"{peak / 1e6:.0f} MB"
                cells = f"{medians[-1]:.3f} s an epoch", f"{share:.0%} of them", memory
                line(f"{n_samples:,} rows", *cells)
            if len(rows) > 1:
                line("exponent in the number of rows", f"{exponent(rows, medians):.2f}")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
