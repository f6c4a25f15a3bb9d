"""Share of scoring in the time of a grid search: 4 code lengths, 3 folds, one process and thread.

``GridSearchCV`` over CFRH with 16, 32, 64 and 128 bits, scored by mAP@50 in both directions on the
held-out fold, on pairs of features drawn from a model of 24 labels (512 image and 1,000 text
features, one to a few labels per row). The scoring time is scikit-learn's ``score_time``; a wrapper
of the scorer separates encoding the fold (``transform``) from ranking. Two choices make the share
larger than it is with defaults: the best candidate is not refitted, and training ends after 30
epochs, to finish in a quarter of an hour.

The benchmark is about time; scores are printed with those of random codes and of linear methods
with their default ridge, on the same folds: mAP@50 with labels, mean of both directions.

Run it with ``python benchmarks/grid_search.py [--quick]``.
"""

import argparse
import os
import time
from types import SimpleNamespace

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from _quality import REFERENCES, random_codes
from _timing import check, header, verdict
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score

from skhash.hashing import CFRHHasher
from skhash.metrics import RetrievalScorer

N_IMAGE, N_TEXT, N_LABELS = 512, 1000, 24
BITS = [16, 32, 64, 128]
BAR = 5  # per cent


def make_pairs(n_samples):
    """Draw features (n_samples, 512 + 1000) float32, and labels (n_samples, 24)."""
    rng = np.random.default_rng(0)
    labels = rng.random((n_samples, N_LABELS)) < 1 / N_LABELS
    labels[np.arange(n_samples), rng.integers(N_LABELS, size=n_samples)] = True
    directions = rng.standard_normal((N_LABELS, N_IMAGE + N_TEXT), dtype=np.float32)
    noise = rng.standard_normal((n_samples, N_IMAGE + N_TEXT), dtype=np.float32)
    return labels.astype(np.float32) @ directions + 4 * noise, labels.astype(int)


class TimedTransform:
    """An estimator's ``transform`` that adds up its seconds."""

    def __init__(self, estimator):
        self.estimator = estimator
        self.seconds = 0.0

    def transform(self, X):
        """Encode, and count the time."""
        started = time.perf_counter()
        codes = self.estimator.transform(X)
        self.seconds += time.perf_counter() - started
        return codes


def references(X, y, scorer, folds):
    """Yield the name and the scores, one a code length, of random codes and linear hashers."""
    drawn = [SimpleNamespace(transform=random_codes(n_bits, seed=0)) for n_bits in BITS]
    tests = [test for _, test in folds.split(X)]
    yield "random codes", [np.mean([scorer(d, X[t], y[t]) for t in tests]) for d in drawn]
    for name, (make, parameters) in REFERENCES.items():
        if parameters.get("space") != "shared":  # the blocks differ in width
            yield (
                name,
                [
                    cross_val_score(
                        make(n_bits, n_image_features=N_IMAGE, random_state=0, **parameters),
                        X,
                        y,
                        scoring=scorer,
                        cv=folds,
                    ).mean()
                    for n_bits in BITS
                ],
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--max-iter", type=int, default=30)
    parser.add_argument("--quick", action="store_true", help="2,000 rows, 8 epochs")
    options = parser.parse_args()
    n_rows, max_iter = (2000, 8) if options.quick else (options.rows, options.max_iter)
    torch.set_num_threads(1)
    print(__doc__)
    header("numpy", "numba", "torch", "scikit-learn")

    X, y = make_pairs(n_rows)
    scorer = RetrievalScorer(k=50)
    encoding, ranking = [], []

    def scoring(estimator, X, y):
        timed, started = TimedTransform(estimator), time.perf_counter()
        score = scorer(timed, X, y)
        encoding.append(timed.seconds)
        ranking.append(time.perf_counter() - started - timed.seconds)
        return score

    hasher = CFRHHasher(n_image_features=N_IMAGE, max_iter=max_iter, random_state=0)
    folds = KFold(options.folds, shuffle=True, random_state=0)
    search = GridSearchCV(hasher, {"n_bits": BITS}, scoring=scoring, cv=folds, refit=False)
    started = time.perf_counter()
    search.fit(X, y)
    total = time.perf_counter() - started

    results = search.cv_results_
    print(f"{n_rows:,} rows, {options.folds} folds, max_iter {max_iter}")
    print(f"{'bits':>6}{'fit, s a fold':>16}{'score, s a fold':>18}{'mAP@50':>9}")
    columns = "mean_fit_time", "mean_score_time", "mean_test_score"
    for n_bits, fit, score, quality in zip(BITS, *(results[c] for c in columns), strict=True):
        print(f"{n_bits:>6}{fit:>16.2f}{score:>18.3f}{quality:>9.3f}")
    print(f"{'':<28}" + "".join(f"{n_bits:>5} bits" for n_bits in BITS))
    for name, values in references(X, y, scorer, folds):
        print(f"{name:<28}" + "".join(f"{value:>10.3f}" for value in values))
    scoring_total = options.folds * results["mean_score_time"].sum()
    share = scoring_total / total
    check("every candidate was scored", np.isfinite(results["mean_test_score"]).all())
    print(f"total    {total:10.2f} s")
    print(
        f"scoring  {scoring_total:10.2f} s  {share:7.2%}  {verdict(100 * share, BAR, below=True)} %"
    )
    for name, seconds in (("encoding", encoding), ("ranking", ranking)):
        print(f"  {name:<9}{sum(seconds):8.2f} s  {sum(seconds) / total:7.2%}")
    print(f"ranking is {sum(ranking) / scoring_total:.0%} of scoring")


if __name__ == "__main__":
    main()
