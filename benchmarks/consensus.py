"""Quality, time and memory of ConsensusHasher, an ablation, and results with few training pairs.

The benchmark has these parts; ``--parts`` selects some of them:

quality   scores at several code lengths, compared with random codes and linear hashers. The ridge
          of the linear hashers is selected on held-out training pairs (``_quality.py``), once per
          training set, at the middle length
ablation  one change at a time; the weight of the shared space is the one that the full method
          selected, except in the row that sets it to 0
few       training on 50, 100 and 200 pairs of collections with a shared space
pair      ``target="pair"``, as bits and real-valued
time      CPU seconds and peak memory of a fit to pairs of 512 + 1,386 features with 64 bits, in a
          fresh process, compared with CCA + ITQ and CFRH

``_collection.py`` describes the collections; in ``NAME-apart``, the database is disjoint from the
training pairs. Scores are mean average precision over all ranks, ties in expectation, images to
texts and texts to images, mean ± standard deviation over seeds. Neither labels nor test pairs are
used in training or selection.

Run it with ``OMP_NUM_THREADS=1 python benchmarks/consensus.py [--parts quality ablation]
[--on wiki wiki-apart digits clip-like a.npz] [--bits 16 64] [--seeds 3] [--large]``, where
``fetch_wiki`` finds the data.
"""

import argparse
import copy
import time
from dataclasses import replace
from unittest.mock import patch

import numpy as np
from _collection import collect
from _quality import REFERENCES, applies, both_directions, choose, fit, random_codes
from _timing import header, in_fresh_process, peak_memory

from skhash.datasets import make_clip_features
from skhash.hashing import CCAHasher, CFRHHasher, ConsensusHasher
from skhash.hashing._agreement import Agreement

KNOWN = ["wiki", "wiki-apart", "digits", "digits-apart", "clip-like"]
LENGTHS = {"quality": [16, 32, 64, 128], "few": [16, 32, 64, 128]}
SIZES = 5_000, 50_000
ABLATION = {
    "nearly linear kernel": {"gamma": 0.02},
    "consensus alone": {"consensus": 1.0},
    "no consensus": {"consensus": 0.0},
    "directions not weighted": {"power": 0.0},
}


def scores(hasher, collection):
    return both_directions(hasher.transform, collection)


def line(title, name, cells, note=""):
    """Print means and standard deviations, an array of (seeds, 2) for each length."""
    texts = []
    for rows in cells:
        pairs = zip(np.mean(rows, axis=0), np.std(rows, axis=0), strict=True)
        texts.append(" ".join(f"{mean:.3f} ± {spread:.3f}" for mean, spread in pairs))
    print(f"{title:<24}{name:<30} " + "   ".join(texts) + f"   {note}", flush=True)


def heads(part, bits):
    print(f"\n{part}, at {' / '.join(map(str, bits))} bits, image to text and text to image")


def references(title, collections, bits):
    """Print random codes and the linear hashers."""
    numbered = list(enumerate(collections))
    random = [[both_directions(random_codes(b, s), c) for s, c in numbered] for b in bits]
    line(title, "random codes", random)
    for name, (make, parameters) in REFERENCES.items():
        if not applies(name, parameters, collections[0]):
            continue
        found, chosen = [[] for _ in bits], []
        for seed, collection in numbered:
            own = {"n_image_features": collection.n_image, "random_state": seed, **parameters}
            best = choose(make(bits[len(bits) // 2], **own), collection, seed)
            chosen += best.values()
            for rows, b in zip(found, bits, strict=True):
                hasher = fit(make(b, **own, **best), collection)[0]
                rows.append(scores(hasher, collection))
        line(title, name, found, f"ridge {chosen}" if chosen else "")


def consensus(title, collections, bits, name="consensus", *, real=False, **parameters):
    """Print a row of the method, what it chose, and a row of its codes before the bits."""
    found, of_real, seconds, chosen = [[] for _ in bits], [[] for _ in bits], [], []
    for seed, collection in enumerate(collections):
        for i, b in enumerate(bits):
            hasher, spent = fitted(ConsensusHasher, b, collection, seed, **parameters)
            seconds.append(spent)
            chosen.append(hasher.shared_weight_)
            found[i].append(scores(hasher, collection))
            if real:
                of_real[i].append(scores(hasher.set_params(output="real"), collection))
    weights = f", shared {chosen}" if any(chosen) else ""
    note = f"{np.median(seconds):.1f} s, text {hasher.text_share_:.2f}{weights}"
    line(title, name, found, note)
    if real:
        line(title, f"{name}, real-valued", of_real)


def fitted(make, n_bits, collection, seed, **parameters):
    """Return a fitted hasher and its seconds."""
    own = {"n_image_features": collection.n_image, "random_state": seed, **parameters}
    return fit(make(n_bits, **own), collection)


def quality(draws, bits):
    heads("quality", bits)
    for collections in draws:
        references(collections[0].name, collections, bits)
        consensus(collections[0].name, collections, bits)


def few(draws, bits):
    heads("few pairs", bits)
    for collections in draws:
        if not collections[0].has_shared_space:
            continue
        for n in (50, 100, 200):
            smaller = [replace(c, train=c.train[:n]) for c in collections]
            title = f"{collections[0].name}, {n}"
            references(title, smaller, bits)
            consensus(title, smaller, bits)


def pair(draws, bits):
    heads("target", bits)
    for collections in draws:
        for target in ("meaning", "pair"):
            name = f'target="{target}"'
            consensus(collections[0].name, collections, bits, name, real=True, target=target)


def forgetful(hasher):
    """Return a fitted hasher without its memory, which nothing else depends on."""
    hasher = copy.copy(hasher)
    for block in ("image_state_", "text_state_"):
        state = {k: v for k, v in getattr(hasher, block).items() if k not in ("known", "lacking")}
        setattr(hasher, block, state)
    return hasher


def variants(n_bits, collection, seed):
    """Yield the name and the hasher of each row of the ablation."""
    full = fitted(ConsensusHasher, n_bits, collection, seed)[0]
    yield "full method", full
    yield "no memory", forgetful(full)
    with patch.object(ConsensusHasher, "_shared_weight", lambda *_: full.shared_weight_):
        for name, parameters in ABLATION.items():
            yield name, fitted(ConsensusHasher, n_bits, collection, seed, **parameters)[0]
        with patch.object(Agreement, "_share", lambda *_: 0.5):
            yield "both trusted alike", fitted(ConsensusHasher, n_bits, collection, seed)[0]
    if collection.has_shared_space:
        with patch.object(ConsensusHasher, "_shared_weight", lambda *_: 0.0):
            other = (
                fitted(ConsensusHasher, n_bits, collection, seed) if full.shared_weight_ else [full]
            )
        yield "no shared space", other[0]


def ablation(draws, bits):
    heads("ablation", bits)
    for collections in draws:
        found = {}
        for n_bits in bits:
            for seed, collection in enumerate(collections):
                for name, hasher in variants(n_bits, collection, seed):
                    of_lengths = found.setdefault(name, {})
                    of_lengths.setdefault(n_bits, []).append(scores(hasher, collection))
        for name, rows in found.items():
            line(collections[0].name, name, rows.values())


def cost(make, n):
    """Return the seconds, CPU and wall, and the peak memory of a fit to n pairs."""
    pairs = make_clip_features(n, random_state=0)
    hasher = make(64, n_image_features=512, random_state=0)
    seconds = []

    def run():
        started = time.process_time(), time.perf_counter()
        hasher.fit(pairs.data)
        ended = time.process_time(), time.perf_counter()
        seconds.extend(np.subtract(ended, started))

    memory = peak_memory(run)
    return *seconds, memory


def timing(sizes, methods):
    print("\ntime and memory of a fit at 64 bits")
    for n in sizes:
        for make in methods:
            cpu, wall, memory = in_fresh_process(cost, make, n)
            memory = "unknown" if memory is None else f"{memory / 2**20:,.0f} MiB"
            print(
                f"{n:>9,} pairs  {make.__name__:<18}{cpu:8.1f} CPU s {wall:8.1f} s   {memory} "
                "beyond the features",
                flush=True,
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = {"quality": quality, "ablation": ablation, "few": few, "pair": pair}
    parser.add_argument("--parts", nargs="+", choices=[*parts, "time"], default=[*parts, "time"])
    parser.add_argument("--on", nargs="+", default=KNOWN, help="names or files of collections")
    parser.add_argument("--bits", type=int, nargs="+", help="16 and 64, or four, by default")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--large", action="store_true", help="time 500,000 pairs, too")
    options = parser.parse_args()
    header("numpy", "scipy", "scikit-learn")
    print(f"mean ± standard deviation over {options.seeds} seeds")
    for part in options.parts:
        if part == "time":
            timing(SIZES, (CCAHasher, ConsensusHasher, CFRHHasher))
            timing((500_000,) * options.large, (CCAHasher, ConsensusHasher))
            continue
        for name in options.on:
            draws = zip(*(collect([name], seed) for seed in range(options.seeds)), strict=True)
            parts[part](map(list, draws), options.bits or LENGTHS.get(part, [16, 64]))


if __name__ == "__main__":
    main()
