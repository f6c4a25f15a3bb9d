"""What the demo tunes, measures and draws."""

import time

import numpy as np
from sklearn.model_selection import GridSearchCV, check_cv
from sklearn.pipeline import Pipeline

from .. import hashing, metrics, retrieval
from .._blocks import BLOCKS

GRID = {"hash__n_bits": [16, 32, 64], "hash__reconstruction_weight": [0.1, 1.0]}
SEEDS = (0, 1, 2)


def tune(data):
    """Choose the code length and a loss weight by validation on pairs, without labels."""
    n_splits = check_cv(data.cv).get_n_splits()
    n_fits = n_splits * np.prod([len(values) for values in GRID.values()])
    say(f"Tuning {' and '.join(GRID)}: {n_fits} fits on pairs alone")
    search = GridSearchCV(
        Pipeline([("hash", hashing.CFRHHasher(random_state=0))]),
        GRID,
        scoring=retrieval.HammingRetriever().as_scorer(),
        cv=data.cv,
        n_jobs=2,
        verbose=2,
        refit=False,
    ).fit(data.train)
    results = search.cv_results_
    print(f"\n  {'n_bits':>6}{'reconstruction_weight':>24}{'finds the other half, mAP':>28}")
    for i, values in enumerate(results["params"]):
        spread = f" ± {results['std_test_score'][i]:.3f}" if n_splits > 1 else ""
        score = f"{results['mean_test_score'][i]:.3f}{spread}"
        mark = "  <- chosen" if i == search.best_index_ else ""
        n_bits, weight = values.values()
        print(f"  {n_bits:>6}{weight:>24}{score:>28}{mark}")
    return search.best_params_


def compare(data, best):
    """Print the scores of CFRH over seeds and of random codes; return the first pipeline."""
    n_bits = best["hash__n_bits"]
    say(f"Training with {best} from {len(SEEDS)} seeds, querying with the test pairs")
    rows, pipelines = {"random codes": [], "CFRH": []}, []
    for seed in SEEDS:
        started = time.perf_counter()
        pipeline = Pipeline([("hash", hashing.CFRHHasher(random_state=seed))])
        pipeline.set_params(**best).fit(data.train)
        print(f"  seed {seed}: {time.perf_counter() - started:.1f} s", flush=True)
        codes = [encode(pipeline, table) for table in (data.gallery, data.test)]
        rows["CFRH"].append(measure(*codes, data))
        pipelines.append(pipeline)
        rng = np.random.default_rng(seed)
        codes = [rng.random((2, len(t), n_bits)) < 0.5 for t in (data.gallery, data.test)]
        rows["random codes"].append(measure(*codes, data))
    n_features = pipelines[0]["hash"].n_features_in_ // 2
    if data.shared_space:
        signs = [np.split(table.to_numpy() > 0, 2, axis=1) for table in (data.gallery, data.test)]
        rows["signs of the features"] = [measure(*signs, data)]
    heads = ("I->T", "T->I", "I->T @50", "T->I @50")
    print(
        f"\n  {'mean average precision':<22}" + "".join(f"{h:>16}" for h in heads) + f"{'bytes':>8}"
    )
    for name, scores in rows.items():
        cells = zip(np.mean(scores, axis=0), np.std(scores, axis=0), strict=True)
        cells = "".join(f"{f'{mean:.3f} ± {spread:.3f}':>16}" for mean, spread in cells)
        n_bytes = (n_features if name.startswith("signs") else n_bits) // 8
        print(f"  {name:<22}{cells}{n_bytes:>8}")
    learned, n_queries = data.gallery is data.train, len(data.test)
    database = f"the {len(data.train)} training pairs" if learned else "the held-out pairs"
    queries = f"{n_queries} other pairs" if learned else f"the same {n_queries}"
    print(f"""
  Database: {database}; queries: {queries}.
  Relevant: what {data.relevant}. Mean ± standard deviation over seeds of CFRH.
  Ties count in expectation; @50 cuts there and divides by the hits (normalize="hits").""")
    if not data.shared_space:
        print("  Images and texts have different features here, so their signs are not compared.")
    return pipelines[0]


def measure(gallery_codes, test_codes, data):
    """Query the gallery with the test pairs: mAP over all ranks and at 50, both ways."""
    (image, text), (query_image, query_text) = gallery_codes, test_codes
    return [
        metrics.mean_average_precision(queries, gallery, data.y_test, data.y_gallery, k=k)
        for k in (None, 50)
        for queries, gallery in ((query_image, text), (query_text, image))
    ]


def encode(pipeline, table):
    """Return image codes and text codes of pairs."""
    return np.split(pipeline.transform(table), 2, axis=1)


def draw(pipeline, data, path, plt):
    """Draw three text queries with their pictures, and three picture queries with their texts."""
    gallery, queries = (
        dict(zip(BLOCKS, encode(pipeline, table), strict=True))
        for table in (data.gallery, data.test)
    )
    figure, axes = plt.subplots(6, 6, figsize=(12, 12.5), layout="constrained")
    for lines, query, found in ((axes[:3], "text", "image"), (axes[3:], "image", "text")):
        metrics.RetrievalDisplay.from_codes(
            queries[query],
            gallery[found],
            data.shown_test[query],
            data.shown_gallery[found],
            data.y_test,
            data.y_gallery,
            n_queries=3,
            n_neighbors=5,
            ax=lines,
        )
    figure.suptitle(f"Nearest codes of the other modality (blue: {data.relevant})", fontsize=13)
    figure.savefig(path, dpi=72)
    plt.close(figure)


def say(text):
    """Announce a step."""
    print(f"\n== {text}", flush=True)
