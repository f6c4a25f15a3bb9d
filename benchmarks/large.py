"""Data larger than memory: fit on memory-mapped pairs, encode to a memory map, search its codes.

Each step runs in its own process, at an eighth of the size and at the full size. The output has its
time, the exponent e if time grows as size ** e, and two peaks of memory: that of the process itself
(anonymous pages: arrays and data of libraries), and the resident memory, which includes pages of
memory-mapped files. The resident memory must not exceed 2 GiB.

The pairs are normal topics mixed into both modalities, float16, 512 + 512 features. Sizes are
reduced if there is too little free disk space or memory. Files go to a temporary folder and are
deleted.

Run it with ``python benchmarks/large.py [--rows 2_000_000] [--codes 100_000_000] [--folder /tmp]``.
"""

import argparse
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from _timing import exponent, header, in_fresh_process, line
from sklearn.utils import gen_batches

from skhash.hashing import CCAHasher, CFRHHasher
from skhash.retrieval import HammingRetriever

IMAGE, TEXT, TOPICS, BITS = 512, 512, 64, 64
LIMIT = 2 << 30
CHUNK = 50_000
QUERIES = 100


class Memory:
    """Samples the memory of this process while a step runs."""

    def __enter__(self):
        self.own = self.resident = 0
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.done.set()
        self.thread.join()

    def watch(self):
        """Note the largest sizes until the step ends."""
        while not self.done.wait(0.01):
            status = Path("/proc/self/status").read_text()
            sizes = {
                row.split(":")[0]: row.split()[1] for row in status.splitlines() if "kB" in row
            }
            self.own = max(self.own, 1024 * int(sizes["RssAnon"]))
            self.resident = max(self.resident, 1024 * int(sizes["VmRSS"]))


def write_pairs(path, n_rows):
    """Write pairs; the noise is drawn once and shifted for each chunk."""
    rng = np.random.default_rng(0)
    width = IMAGE + TEXT
    mixing = rng.standard_normal((TOPICS, width), dtype=np.float32) / 8
    noise = rng.standard_normal((2 * CHUNK, width), dtype=np.float32) / 2
    pairs = np.lib.format.open_memmap(path, "w+", np.float16, (n_rows, width))
    for rows in gen_batches(n_rows, CHUNK):
        n, shift = rows.stop - rows.start, rng.integers(CHUNK)
        topics = rng.standard_normal((n, TOPICS), dtype=np.float32)
        pairs[rows] = topics @ mixing + noise[shift : shift + n]


def write_codes(path, n_codes):
    rng = np.random.default_rng(0)
    codes = np.lib.format.open_memmap(path, "w+", np.uint8, (n_codes, BITS // 8))
    for rows in gen_batches(n_codes, 1 << 22):
        codes[rows] = rng.integers(0, 256, (rows.stop - rows.start, BITS // 8), dtype=np.uint8)


def fit_cca(path, n_rows):
    pairs = np.load(path, mmap_mode="r")[:n_rows]
    hasher = CCAHasher(BITS, n_image_features=IMAGE, random_state=0)
    return lambda: hasher.fit(pairs)


def fit_cfrh(path, n_rows):
    pairs = np.load(path, mmap_mode="r")[:n_rows]
    options = {"batch_size": 1024, "max_iter": 1, "random_state": 0, "hidden_units": 256}
    hasher = CFRHHasher(BITS, n_image_features=IMAGE, **options)
    return lambda: hasher.fit(pairs)


def encode(path, n_rows):
    pairs = np.load(path, mmap_mode="r")[:n_rows]
    hasher = CCAHasher(BITS, n_image_features=IMAGE, output="packed", n_iter=5, random_state=0)
    hasher.fit(pairs[:20_000])
    shape = n_rows, 2 * BITS // 8
    codes = np.lib.format.open_memmap(path.with_name("encoded.npy"), "w+", np.uint8, shape)

    def run():
        for rows in gen_batches(n_rows, CHUNK):
            codes[rows] = hasher.transform(pairs[rows])

    return run


def search(path, n_codes):
    codes = np.load(path, mmap_mode="r")[:n_codes]
    queries = np.random.default_rng(1).integers(0, 256, (QUERIES, BITS // 8), dtype=np.uint8)
    HammingRetriever().fit(codes[:200_000]).kneighbors(queries, 10)  # loads the engine
    return lambda: HammingRetriever().fit(codes).kneighbors(queries, 10)


def measured(step, path, size):
    """Prepare a step and run it; return its time and the two peaks of memory."""
    with Memory() as memory:
        run = step(path, size)
        started = time.perf_counter()
        run()
        seconds = time.perf_counter() - started
    return seconds, memory.own, memory.resident


def defaults(folder):
    """Return how many pairs and codes fit onto half of the free disk and memory."""
    free = shutil.disk_usage(folder).free // 2
    pages = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    n_rows = min(2_000_000, free // (2 * (IMAGE + TEXT)), pages // (2 * (IMAGE + TEXT)))
    return n_rows, min(100_000_000, free // (BITS // 8), pages // (BITS // 8))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int)
    parser.add_argument("--codes", type=int)
    parser.add_argument("--folder", default=tempfile.gettempdir())
    options = parser.parse_args()
    n_rows, n_codes = defaults(options.folder)
    n_rows, n_codes = options.rows or n_rows, options.codes or n_codes
    needed = 2 * n_rows * (IMAGE + TEXT) + n_codes * BITS // 8
    if needed > shutil.disk_usage(options.folder).free * 0.9:
        raise SystemExit(f"{needed / 1e9:.1f} GB of disk are needed: give fewer --rows.")
    header("numpy", "numba", "torch", "scikit-learn")
    print(f"pairs: {n_rows:,} x ({IMAGE} + {TEXT}), float16; codes: {n_codes:,} x {BITS} bits")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        pairs, codes = Path(folder) / "pairs.npy", Path(folder) / "codes.npy"
        for write, path, size in ((write_pairs, pairs, n_rows), (write_codes, codes, n_codes)):
            started = time.perf_counter()
            write(path, size)
            took = time.perf_counter() - started
            line(path.name, f"{path.stat().st_size / 1e9:.2f} GB", f"written in {took:.0f} s")
        line(
            "step, rows",
            "seconds",
            "exponent",
            "own memory, GB",
            "resident, GB",
            "resident < 2 GiB",
        )
        steps = {
            f"search {QUERIES} queries": (search, codes, n_codes),
            "encode to a memory map": (encode, pairs, n_rows),
            "fit CFRHHasher, 1 epoch": (fit_cfrh, pairs, n_rows),
            "fit CCAHasher": (fit_cca, pairs, n_rows),
        }
        for name, (step, path, size) in steps.items():
            sizes, times = [size // 8, size], []
            for n in sizes:
                seconds, own, resident = in_fresh_process(measured, step, path, n)
                times.append(seconds)
                power = f"{exponent(sizes, times):.2f}" if len(times) == 2 else ""
                cells = f"{seconds:.1f}", power, f"{own / 1e9:.2f}", f"{resident / 1e9:.2f}"
                line(f"{name}, {n:,}", *cells, "reached" if resident < LIMIT else "NOT REACHED")


if __name__ == "__main__":
    main()
