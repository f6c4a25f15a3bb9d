"""Re-ranking: quality, memory and time.

**Quality.** A random 3/4 of the pairs of the first collection in each file is used for training;
the images and texts of the others search each other, and only the other half of a pair is relevant.
R@k is the share of queries whose other half is among the first k, mAP the mean of 1 / rank, both as
expectations over ties and as means of both directions; the output has the mean and standard
deviation over seeds of the split. ``bits`` ranks by Hamming distance, ``asymmetric`` by real codes
of the queries, ``vectors`` orders the 20 nearest by the cosine of float16 vectors. These are the
features themselves where both modalities are in one space; elsewhere the real output of a CCA of
128 dimensions, fitted on the training pairs. ``float32 exact`` ranks all items by these vectors.
The bytes of an item are for one modality.

**Time.** Image features of the first collection, repeated with Gaussian noise of half the length of
a feature until there are 1,000,000. The output has milliseconds per query, for calls with 1,000
queries (the exact float32 search: 100) and with one query; ten neighbours, 100 candidates, one
thread. Vectors are float16 in a memory map, which is in the file cache. Times on uniformly random
codes with normally distributed queries are printed too. Times are CPU times; nothing waits for a
disk.

Run it with ``python benchmarks/rerank.py FILE.npz ... [--seeds 3] [--only quality time]``, with
files that ``_collection.py`` describes.
"""

import argparse
import os
import tempfile
import time
from functools import partial
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from _collection import collect
from _timing import header, turns
from sklearn.base import BaseEstimator, TransformerMixin

from skhash.hashing import CCAHasher, ConsensusHasher
from skhash.metrics import RetrievalScorer
from skhash.retrieval import HammingRetriever

LENGTHS, N_CANDIDATES, N_SHARED = (32, 64, 128), 20, 128
HASHERS = ["random codes", "CCA + ITQ", "Consensus"]
METRICS = {"R@1": ("hit_rate", 1), "R@10": ("hit_rate", 10), "mAP": ("map", None)}


class RandomCodes(TransformerMixin, BaseEstimator):
    """Codes that have nothing to do with the features."""

    def __init__(self, n_bits, seed, output="bits"):
        self.n_bits, self.seed, self.output = n_bits, seed, output

    def transform(self, X):
        """Return codes of pairs."""
        codes = np.random.default_rng(self.seed).standard_normal((len(X), 2 * self.n_bits))
        return codes.astype(np.float32) if self.output == "real" else codes >= 0


def fitted(name, n_bits, collection, seed):
    """Return a fitted hasher."""
    options = {"n_bits": n_bits, "n_image_features": collection.n_image, "random_state": seed}
    if name == "random codes":
        return RandomCodes(n_bits, seed)
    return {"CCA + ITQ": CCAHasher, "Consensus": ConsensusHasher}[name](**options).fit(
        collection.train
    )


def shared_vectors(collection, seed):
    """Return vectors of the test pairs, image and text halves in one space."""
    if collection.has_shared_space:
        return collection.queries
    options = {"n_image_features": collection.n_image, "output": "real", "random_state": seed}
    return CCAHasher(N_SHARED, **options).fit(collection.train).transform(collection.queries)


def quality_of(collection, names, seed):
    """Yield (hasher, bits, how, bytes, scores) of a split."""
    vectors = shared_vectors(collection, seed).astype(np.float16)
    n_vector = vectors.shape[1] // 2
    for n_bits in LENGTHS:
        for name in names:
            hasher = fitted(name, n_bits, collection, seed)
            for how in (None, "asymmetric", "vectors"):
                n_bytes = n_bits // 8 + (2 * n_vector if how == "vectors" else 0)
                scores = [
                    score(metric, k, how, hasher, collection.queries, vectors)
                    for metric, k in METRICS.values()
                ]
                yield name, n_bits, how or "bits", n_bytes, scores
    exact = vectors.astype(np.float32)
    scores = [score(metric, k, None, Passed(), exact, None) for metric, k in METRICS.values()]
    yield "float32 exact", "", "", 4 * n_vector, scores


class Passed(TransformerMixin, BaseEstimator):
    """Features as they are."""

    def transform(self, X):
        """Return the features."""
        return X


class Given(TransformerMixin, BaseEstimator):
    """A hasher whose input has vectors for re-ranking in the place of its own features."""

    def __init__(self, hasher, X, output="bits"):
        self.hasher, self.X, self.output = hasher, X, output

    def transform(self, vectors):
        """Return the codes of the features."""
        return self.hasher.set_params(output=self.output).transform(self.X)


def score(metric, k, how, hasher, X, vectors):
    scorer = RetrievalScorer(metric, k=k, rerank=how, n_candidates=N_CANDIDATES)
    if how == "vectors":
        return scorer(Given(hasher, X), vectors)
    return scorer(hasher, X)


def quality(options):
    for path in options.files:
        found, name = {}, ""
        for seed in range(options.seeds):
            collection = next(c for c in collect([path], seed) if c.labels[0] is None)
            name = collection.name
            for *row, scores in quality_of(collection, options.hashers, seed):
                found.setdefault(tuple(row), []).append(scores)
        print(f"\n{name}, {options.seeds} seeds\n")
        print(f"{'hasher':<15}{'bits':>5} {'ranked by':<12}{'bytes':>6}", *map(cell, METRICS))
        for (hasher, n_bits, how, n_bytes), scores in found.items():
            means, spread = np.mean(scores, axis=0), np.std(scores, axis=0)
            cells = [f"{m:.3f} ± {s:.3f}" for m, s in zip(means, spread, strict=True)]
            print(f"{hasher:<15}{n_bits!s:>5} {how:<12}{n_bytes:>6}", *map(cell, cells), flush=True)


def cell(text):
    return f"{text:>15}"


def million(options, n_items, temporary):
    """Return pairs to fit on, a memory map of noisy image features, and noisy queries."""
    collection = next(iter(collect(options.files, 0)))
    n_image, rng = collection.n_image, np.random.default_rng(0)
    images = np.vstack([collection.train, collection.queries])[:, :n_image]
    items = np.lib.format.open_memmap(
        Path(temporary) / "items.npy", "w+", np.float16, (n_items, n_image)
    )
    for start in range(0, n_items, len(images)):
        part = noisy(images, rng)[: n_items - start]
        items[start : start + len(part)] = part
    items.flush()
    return collection, items, noisy(images, rng)[:1000]


def noisy(images, rng):
    noise = rng.standard_normal(images.shape, dtype=np.float32)
    return images + 0.5 / images.shape[1] ** 0.5 * noise


def timing(options):
    with tempfile.TemporaryDirectory() as temporary:
        collection, items, queries = million(options, options.items, temporary)
        for n_bits in LENGTHS:
            hasher = CCAHasher(n_bits, n_image_features=collection.n_image, random_state=0)
            encode = hasher.fit(collection.train).set_params(output="real").encode_image
            parts = range(0, len(items), 50_000)
            codes = np.vstack(
                [encode(items[i : i + 50_000].astype(np.float32)) >= 0 for i in parts]
            )
            real = encode(queries)
            vectors = np.load(Path(temporary) / "items.npy", mmap_mode="r")
            print_times(f"CCA + ITQ, {n_bits} bits", codes, real, vectors, queries)
            rng = np.random.default_rng(0)
            codes = rng.random((options.items, n_bits)) < 0.5
            real = rng.standard_normal((1000, n_bits)).astype(np.float32)
            print_times(f"random codes, {n_bits} bits", codes, real)
        print_exact(items, queries)


def print_times(name, codes, real, vectors=None, query_vectors=None):
    index = HammingRetriever(n_neighbors=10).fit(codes, vectors=vectors)
    ways = {"bits": (None, {}), "asymmetric": ("asymmetric", {})}
    if vectors is not None:
        ways["vectors"] = ("vectors", {"vectors": query_vectors})
    for n_queries in (1000, 1):
        calls = {}
        for way, (rerank, given) in ways.items():
            some = {key: array[:n_queries] for key, array in given.items()}
            search = HammingRetriever(n_neighbors=10, rerank=rerank)
            search.__dict__ |= {k: v for k, v in vars(index).items() if k != "rerank"}
            calls[way] = partial(search.kneighbors, real[:n_queries], **some)
        rounds = 5 if n_queries > 1 else 15
        for call in calls.values():
            call()
        seconds = {way: np.empty(rounds) for way in calls}
        for number, way in turns(calls, rounds):
            started = time.process_time()
            calls[way]()
            seconds[way][number] = time.process_time() - started
        medians = {way: 1000 * np.median(s) / n_queries for way, s in seconds.items()}
        cells = (f"{way} {ms:.3f} ms ({ms / medians['bits']:.1f})" for way, ms in medians.items())
        print(f"{name}, {n_queries} queries:", ", ".join(cells), flush=True)


def print_exact(items, queries):
    exact = items.astype(np.float32)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    try:
        import faiss
    except ImportError:
        name = "NumPy"

        def search(q):
            return np.argpartition(-(q @ exact.T), 10, axis=1)[:, :10]
    else:
        name = "faiss IndexFlatIP"
        faiss.omp_set_num_threads(1)
        index = faiss.IndexFlatIP(exact.shape[1])
        index.add(exact)
        search = partial(index.search, k=10)
    for n_queries in (100, 1):
        started = time.process_time()
        search(queries[:n_queries])
        ms = 1000 * (time.process_time() - started) / n_queries
        print(f"float32 exact ({name}), {n_queries} queries: {ms:.3f} ms", flush=True)


SECTIONS = {"quality": quality, "time": timing}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--hashers", nargs="+", choices=HASHERS, default=HASHERS)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    options = parser.parse_args()
    print(__doc__)
    header("numpy", "scikit-learn")
    for name in options.only:
        SECTIONS[name](options)


if __name__ == "__main__":
    main()
