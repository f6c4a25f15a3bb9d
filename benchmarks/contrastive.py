"""Ablation of clustered contrastive learning on drawn scenes, with controls of equal compute.

Small encoders are trained on scenes. Test queries show combinations of shapes, colours and relation
that do not occur in training; they search a gallery of 500 pairs in both directions. The variants
are the cross-modal loss alone, with clustered batches, with the uni-modal losses, and with both,
all with the same number of steps. Controls get as many CPU seconds as the variant with both,
through more epochs.

The output has recalls at 1, 5 and 10 (hit rate, real embeddings by cosine, expectation over ties),
mean ± standard deviation over seeds, CPU seconds of training on one thread, and the scores of
random embeddings. It also has two linear methods on fixed features: canonical correlation analysis
(CCA), real-valued, and its codes of 64 bits (CCA + ITQ), with a ridge selected on held-out training
pairs. The fixed features are histograms of learned patches and bags of words, or the embeddings of
the initial encoders in regimes that start from trained ones. The last table has the difference in
R@1 between variants, as the mean of both directions, for each seed.

Regimes:

scratch   3,000 pairs, 16 epochs, untrained encoders, all else by default
vit       12 epochs of a vision transformer, which learns pictures slowly
few       600 pairs, 48 epochs, augmented pictures in the cross-modal loss, too
noisy     3,000 pairs, the captions of 30 % of them swapped, 12 epochs
tuned     encoders that were trained on scenes of other shapes continue with 600 pairs

Run it with ``python benchmarks/contrastive.py [--regimes scratch vit] [--seeds 5] [--jobs 2]
[--variants cross both]``.
"""

import argparse
import os
import tempfile
import time

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from _collection import Collection
from _quality import choose
from _timing import header
from joblib import Parallel, delayed
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline

from skhash.datasets import make_scenes
from skhash.features import (
    BoWTextFeaturizer,
    CLIPFeaturizer,
    ContrastiveFeaturizer,
    CrossModalFeaturizer,
    PatchFeaturizer,
)
from skhash.hashing import CCAHasher
from skhash.metrics import hit_rate_at_k

N_TEST = 500
K = (1, 5, 10)
REGIMES = {
    "scratch": {"n_samples": 3000, "epochs": 16},
    "vit": {
        "n_samples": 3000,
        "epochs": 12,
        "parameters": {"image_tower": "vit", "width": 128, "learning_rate": 1e-3},
    },
    "few": {"n_samples": 600, "epochs": 48, "parameters": {"cross_view": "augmented"}},
    "noisy": {"n_samples": 3000, "epochs": 12, "noisy": 0.3},
    "tuned": {
        "n_samples": 600,
        "epochs": 16,
        "tuned": True,
        "parameters": {"cross_view": "augmented", "learning_rate": 5e-4},
    },
}
# Whether a variant has the uni-modal losses, and clustered batches.
VARIANTS = {
    "cross": (False, False),
    "cross + clusters": (False, True),
    "cross + unimodal": (True, False),
    "both": (True, True),
}
NEW_SHAPES = ("star", "ring")


def variant(name, epochs):
    """Return the parameters of a variant; the last quarter of its epochs are the two rounds."""
    unimodal, clusters = VARIANTS[name]
    rounds = max(1, epochs // 8) if clusters else 0
    weights = {} if unimodal else {"image_weight": 0.0, "text_weight": 0.0}
    return {
        **weights,
        "n_rounds": 2 if clusters else 0,
        "round_epochs": rounds,
        "joint_epochs": epochs - 2 * rounds,
    }


def make_data(seed, n_samples, *, noisy=0.0, tuned=False, **_):
    """Draw pairs to learn from, test pairs of unseen combinations, and pairs to begin with."""
    scenes = make_scenes((4 if tuned else 1) * n_samples + 3000, random_state=seed)
    frame, combination = scenes.frame, scenes.combination
    before, seen = None, combination[:0]
    if tuned:
        columns = [name.split()[1] in NEW_SHAPES for name in scenes.target_names]
        new = scenes.target[:, columns].any(axis=1)
        # A few new ones are among the old, so that their words are in the vocabulary.
        first = np.concatenate([np.flatnonzero(~new), np.flatnonzero(new)[:100]])
        rows = np.flatnonzero(new)[100:]
        before, seen = frame.iloc[first].reset_index(drop=True), combination[first]
    else:
        rows = np.arange(len(frame))
    train, rest = rows[:n_samples], rows[n_samples:]
    seen = np.concatenate([seen, combination[train]])
    test = rest[~np.isin(combination[rest], seen)][:N_TEST]
    assert len(test) == N_TEST
    train, test = (frame.iloc[r].reset_index(drop=True) for r in (train, test))
    if noisy:
        swapped = np.random.default_rng(seed).choice(
            n_samples, round(noisy * n_samples), replace=False
        )
        train.loc[swapped, "text"] = train["text"].to_numpy()[np.roll(swapped, 1)]
    return train, test, before


def measure(image, text):
    """Return the recalls of both directions."""
    sides = ((image, text), (text, image))
    return np.concatenate([hit_rate_at_k(query, items, k=K) for query, items in sides])


def encode(featurizer, pairs):
    return [getattr(featurizer, f"encode_{b}")(pairs[b]) for b in ("image", "text")]


def begin(seed, regime, folder):
    """Train the towers that a regime goes on with; return their name."""
    if "tuned" not in regime:
        return "small"
    torch.set_num_threads(1)
    before = make_data(seed, **regime)[2]
    known = ContrastiveFeaturizer(**variant("cross", 16), random_state=seed).fit(before)
    known.save_pretrained(f"{folder}/{seed}")
    return f"local-dir:{folder}/{seed}"


def run(towers, parameters, seed, regime):
    """Train; return recalls in both directions and CPU seconds."""
    torch.set_num_threads(1)
    train, test, _ = make_data(seed, **regime)
    featurizer = ContrastiveFeaturizer(towers, **parameters, random_state=seed)
    started = time.process_time()
    featurizer.fit(train)
    seconds = time.process_time() - started
    return [*measure(*encode(featurizer, test)), seconds]


def as_they_come(towers, seed, regime):
    """Return the recalls of towers before training goes on."""
    test = make_data(seed, **regime)[1]
    sides = [CLIPFeaturizer(towers, modality=m).fit_transform(test[m]) for m in ("image", "text")]
    return [*measure(*sides), 0.0]


def linear(towers, seed, regime):
    """Return the recalls and CPU seconds of CCA on fixed features, real-valued and as codes."""
    torch.set_num_threads(1)
    train, test, _ = make_data(seed, **regime)
    started = time.process_time()
    if towers == "small":
        patches = PatchFeaturizer(stride=2, random_state=seed)
        image = make_pipeline(patches, PCA(64, whiten=True, random_state=seed))
        text = BoWTextFeaturizer()
    else:
        image, text = (CLIPFeaturizer(towers, modality=m) for m in ("image", "text"))
    featurizer = CrossModalFeaturizer(image=image, text=text).fit(train)
    features, queries = (featurizer.transform(pairs).to_numpy() for pairs in (train, test))
    n_image = len(featurizer.encode_image(test["image"][:1])[0])
    collection = Collection("scenes", n_image, features, queries, queries)
    hasher = CCAHasher(64, n_image_features=n_image, random_state=seed)
    hasher.set_params(**choose(hasher, collection, seed)).fit(features)
    seconds = time.process_time() - started
    forms = [hasher.set_params(output=output).transform(queries) for output in ("real", "bits")]
    return [[*measure(*np.split(codes, 2, axis=1)), seconds] for codes in forms]


def chance(seed):
    rng = np.random.default_rng(seed)
    return [*measure(*rng.standard_normal((2, N_TEST, 128))), 0.0]


def line(name, rows):
    means, spreads = np.mean(rows, axis=0), np.std(rows, axis=0)
    cells = [f"{100 * m:.1f} ± {100 * s:.1f}" for m, s in zip(means[:-1], spreads, strict=False)]
    print(
        f"  {name:<32}" + "".join(f"{cell:>13}" for cell in cells) + f"{means[-1]:>7.0f}",
        flush=True,
    )


def compare(name, seeds, jobs, variants, folder):
    """Print the table of a regime."""
    regime = REGIMES[name]
    epochs, given = regime["epochs"], regime.get("parameters", {})
    print(f"\n{name}, {seeds} seeds: {regime}")
    heads = [f"{way} R@{k}" for way in ("i->t", "t->i") for k in K]
    print(f"  {'':<32}" + "".join(f"{head:>13}" for head in heads) + f"{'CPU s':>7}")
    line("random embeddings", [chance(seed) for seed in range(seeds)])
    parallel, results = Parallel(jobs), {}
    towers = parallel(delayed(begin)(seed, regime, folder) for seed in range(seeds))
    if towers[0] != "small":
        line("before", [as_they_come(towers[s], s, regime) for s in range(seeds)])

    found = parallel(delayed(linear)(towers[seed], seed, regime) for seed in range(seeds))
    line("CCA of fixed features", [real for real, _ in found])
    line("CCA + ITQ of these, 64 bits", [codes for _, codes in found])

    def fill(kind, n_epochs):
        parameters, label = {**variant(kind, n_epochs), **given}, f"{kind}, {n_epochs} epochs"
        task = delayed(run)
        results[label] = parallel(task(towers[s], parameters, s, regime) for s in range(seeds))
        line(label, results[label])

    for kind in variants:
        fill(kind, epochs)
    dear = f"both, {epochs} epochs"
    for kind in ("cross", "cross + clusters"):
        cheap = f"{kind}, {epochs} epochs"
        if dear in results and cheap in results:
            factor = np.sum(results[dear], axis=0)[-1] / np.sum(results[cheap], axis=0)[-1]
            fill(kind, round(factor * epochs))
    if not results:
        return
    scores = {label: np.asarray(rows)[:, [0, 3]].mean(axis=1) for label, rows in results.items()}
    print(f"  {'R@1 of the row above the column':<32}" + "".join(f"{o:>28}" for o in scores))
    for label, score in scores.items():
        gains = [100 * (score - other) for other in scores.values()]
        cells = [f"{gain.mean():+.1f} ± {gain.std():.1f}" if gain.any() else "" for gain in gains]
        print(f"  {label:<32}" + "".join(f"{cell:>28}" for cell in cells), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--regimes", nargs="+", choices=REGIMES, default=list(REGIMES))
    parser.add_argument("--variants", nargs="*", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1, help="seeds at a time, one thread each")
    options = parser.parse_args()
    header("torch")
    print(f"test: {N_TEST} pairs of combinations that training never saw")
    print(f"seeds at a time: {options.jobs}")
    for name in options.regimes:
        with tempfile.TemporaryDirectory() as folder:
            compare(name, options.seeds, options.jobs, options.variants, folder)


if __name__ == "__main__":
    main()
