"""Quality, time and memory of binary codes compared with exact search of real-valued embeddings.

The benchmark has these parts; ``--parts`` selects one of them:

quality   real-valued vectors, ranked by cosine; signs of the same vectors; codes of several lengths
cost      seconds of a search and bytes of an index, of random vectors and codes

``_collection.py`` describes the collections. Scores are mean average precision over all ranks, ties
in expectation, images to texts and texts to images, mean ± standard deviation over seeds. Only the
other half of a query is relevant or, for captions in groups, any caption of the picture. The ridge
is selected for each training set by how well held-out training pairs find their other half
(``_quality.py``); test pairs are used in neither training nor selection. Re-ranking takes the
nearest tenth of the items by binary codes and orders them by the cosine of the embeddings.

Run it with ``OMP_NUM_THREADS=1 python benchmarks/float_search.py [--parts quality cost]
[--on shop.npz flickr8k.npz] [--bits 64 128 256] [--seeds 3]``.
"""

import argparse

import numpy as np
from _collection import collect
from _quality import applies, choose, fit, random_codes, scores_of_codes
from _timing import header, line, race

from skhash.hashing import CCAHasher, ConsensusHasher, RandomHyperplaneHasher, SignHasher
from skhash.retrieval import HammingRetriever

REAL = {  # ranked by cosine
    "ridge to image space": (SignHasher, {"space": "image"}),
    "CCA, real-valued": (CCAHasher, {}),
    "Consensus, real-valued": (ConsensusHasher, {"target": "pair"}),
}
BINARY = {
    "random hyperplanes": (RandomHyperplaneHasher, {"space": "shared"}),
    "CCA + ITQ": (CCAHasher, {}),
    "Consensus, pair": (ConsensusHasher, {"target": "pair"}),
}


def blocks(X, n_image):
    return X[:, :n_image], X[:, n_image:]


def centred(X, collection):
    """Centre both blocks by the means of the training pairs."""
    return X - collection.train.mean(axis=0)


def scores(encode, collection):
    return scores_of_codes(encode(collection.queries), encode(collection.gallery), collection)


def reranked(collection):
    """Score signs of centred embeddings, a tenth of the items re-ranked by cosine."""
    X = centred(collection.queries, collection)
    image, text = blocks(X, collection.n_image)
    return [reranked_one_way(image, text), reranked_one_way(text, image)]


def reranked_one_way(queries, gallery):
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (queries, gallery)]
    cosines = unit[0] @ unit[1].T
    index = HammingRetriever().fit(gallery > 0)
    _, rows = index.kneighbors(queries > 0, len(gallery) // 10)
    distances = (queries[:, None] > 0) ^ (gallery[None] > 0)
    ranking = -distances.sum(axis=2).astype(np.float64)
    own = np.arange(len(queries))[:, None]
    ranking[own, rows] = 2 + cosines[own, rows]  # before all others
    its = np.diag(ranking)[:, None]
    before, tied = (ranking > its).sum(axis=1), (ranking == its).sum(axis=1)
    return np.mean(
        [np.mean(1 / np.arange(b + 1, b + t + 1)) for b, t in zip(before, tied, strict=True)]
    )


def show(title, name, n_bytes, rows):
    """Print a row: means and standard deviations over seeds."""
    means, spreads = np.mean(rows, axis=0), np.std(rows, axis=0)
    cells = "  ".join(f"{m:.3f} ± {s:.3f}" for m, s in zip(means, spreads, strict=True))
    print(f"{title:<26}{name:<36}{n_bytes:>6} bytes   {cells}", flush=True)


def fitted(make, n_bits, collection, seed, **parameters):
    own = {"n_image_features": collection.n_image, "random_state": seed, **parameters}
    hasher = make(n_bits, **own)
    return fit(hasher.set_params(**choose(hasher, collection, seed)), collection)[0]


def quality(draws, bits):
    for collections in draws:
        title, numbered = collections[0].name, list(enumerate(collections))
        for b in bits:
            found = [scores(random_codes(b, seed), c) for seed, c in numbered]
            show(title, f"random codes, {b} bits", b // 8, found)
        if collections[0].has_shared_space:
            width = collections[0].n_image
            plain = {
                "embeddings, cosine": (4 * width, lambda X, c: X),
                "embeddings, centred, cosine": (4 * width, centred),
                "signs": (width // 8, lambda X, c: X > 0),
                "signs, centred": (width // 8, lambda X, c: centred(X, c) > 0),
            }
            for name, (n_bytes, change) in plain.items():
                found = [scores(lambda X, c=c, f=change: f(X, c), c) for c in collections]
                show(title, name, n_bytes, found)
            found = [reranked(c) for c in collections]
            show(title, "signs, centred, re-ranked", width // 8, found)
        for name, (make, parameters) in REAL.items():
            if make is SignHasher and collections[0].has_shared_space:
                continue
            n_bits = None if make is SignHasher else bits[0]
            found = [
                scores(fitted(make, n_bits, c, s, output="real", **parameters).transform, c)
                for s, c in numbered
            ]
            n_numbers = n_bits or collections[0].n_image
            show(title, f"{name}, {n_numbers} numbers", 4 * n_numbers, found)
        for name, (make, parameters) in BINARY.items():
            if not applies(name, parameters, collections[0]):
                continue
            for b in bits:
                found = [
                    scores(fitted(make, b, c, s, **parameters).transform, c) for s, c in numbered
                ]
                show(title, f"{name}, {b} bits", b // 8, found)
        print(flush=True)


def cost(n_items, n_queries, rounds):
    """Time exact searches of the same number of items, one thread."""
    import faiss

    faiss.omp_set_num_threads(1)
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((n_items, 512), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    flat = faiss.IndexFlatIP(512)
    flat.add(vectors)
    indexes = {b: HammingRetriever().fit(rng.random((n_items, b)) < 0.5) for b in (64, 512)}
    for many in n_queries:
        asked = vectors[:many]
        codes = {b: rng.random((many, b)) < 0.5 for b in indexes}
        contenders = {
            "float32, 512 numbers, faiss": lambda q=asked: flat.search(q, 10),
            "float32, 512 numbers, NumPy": lambda q=asked: np.argpartition(-(q @ vectors.T), 10),
            **{f"{b} bits": lambda b=b, q=codes: indexes[b].kneighbors(q[b], 10) for b in indexes},
        }
        seconds, _ = race(contenders, rounds)
        print(
            f"\n{n_items:,} items, {many} queries in a call, k = 10, least time of {rounds} rounds"
        )
        least = {name: each.min() for name, each in seconds.items()}
        floats = min(time for name, time in least.items() if name.startswith("float32"))
        for name, time in least.items():
            line(name, f"{1e3 * time:.3g} ms", f"faster float over it {floats / time:.3g}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=["quality", "cost"], default=["cost"])
    parser.add_argument("--on", nargs="+", default=[], help="files of features")
    parser.add_argument("--bits", nargs="+", type=int, default=[64, 128, 256])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--queries", nargs="+", type=int, default=[1, 100])
    parser.add_argument("--rounds", type=int, default=25)
    options = parser.parse_args()
    header("numpy", "faiss-cpu", "numba")
    if "quality" in options.parts:
        seeds = range(options.seeds)
        draws = zip(*(collect(options.on, seed) for seed in seeds), strict=True)
        quality(draws, options.bits)
    if "cost" in options.parts:
        cost(options.items, options.queries, options.rounds)


if __name__ == "__main__":
    main()
