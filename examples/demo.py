"""The main job: pairs in, codes tuned, measured, looked at, saved and asked.

``make demo`` runs it on drawn scenes, ``make demo DATA=wiki`` on the Wiki data set, and ``make demo
IMAGES=folder CAPTIONS=file.csv`` on pictures and captions of your own. The saved model answers
``python examples/demo.py --ask "a crimson disc above a blue box"``.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import joblib
import matplotlib
import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, PredefinedSplit, check_cv
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils import Bunch

from skhash import split_towers
from skhash.datasets import fetch_wiki, load_image_table, make_scenes
from skhash.features import (
    BoWTextFeaturizer,
    CLIPFeaturizer,
    ContrastiveFeaturizer,
    CrossModalFeaturizer,
)
from skhash.hashing import CFRHHasher
from skhash.metrics import RetrievalDisplay, hit_rate_at_k, mean_average_precision, retrieval_report
from skhash.retrieval import HammingRetriever

GRID = {"hash__n_bits": [16, 32, 64], "hash__reconstruction_weight": [0.1, 1.0]}
SEEDS = (0, 1, 2)
BLOCKS = ("image", "text")


def load_scenes():
    """Draw scenes; train both methods on raw pairs, towers and the codes of what they see."""
    scenes = make_scenes(2000, random_state=0)
    train, test = scenes.frame[:1500], scenes.frame[1500:]
    held_out = np.arange(1500) >= 1200
    towers, features = train_towers(train, test, held_out)
    return Bunch(
        about="Drawn scenes with English captions, as the towers see them.",
        relevant="shares a class such as 'warm circle' with the query",
        train=features[0],
        test=features[1],
        gallery=features[0],
        y_gallery=scenes.target[:1500],
        y_test=scenes.target[1500:],
        cv=PredefinedSplit(np.where(held_out, 0, -1)),
        shared_space=True,
        raw=train,
        raw_steps=[("features", towers)],
        names=train["text"].to_numpy(),
        shown_gallery=train,
        shown_test=test,
        question="a crimson disc above a blue box",
    )


def load_own(images, captions, cache_dir):
    """Read a folder of pictures and a table of captions; a fifth is held out, and one to tune."""
    pairs = load_image_table(images, captions, on_missing="drop")
    fifth = np.random.default_rng(0).integers(5, size=pairs.group.max() + 1)[pairs.group]
    train, test = (pairs.frame[rows].reset_index(drop=True) for rows in (fifth > 0, fifth == 0))
    held_out, shared_space = fifth[fifth > 0] == 1, False
    clip = CLIPFeaturizer(n_workers=1, verbose=1)
    try:
        clip.transform(train["image"][:1])
    except OSError:
        print("  CLIP's weights cannot be had, so that towers learn from these pairs alone.")
        featurizer, features = train_towers(train, test, held_out)
        shared_space = True
    else:
        clip.set_params(cache_dir=cache_dir)  # the pictures are asked for more than once
        featurizer = CrossModalFeaturizer(image=clip, text=BoWTextFeaturizer())
        featurizer.fit(train[~held_out])
        features = [featurizer.transform(table) for table in (train, test)]
    return Bunch(
        about=f"{len(pairs.frame)} pairs of your own, {len(pairs.dropped)} pictures missing.",
        relevant="belongs to the same picture as the query",
        train=features[0],
        test=features[1],
        gallery=features[1],
        y_gallery=pairs.group[fifth == 0],
        y_test=pairs.group[fifth == 0],
        cv=PredefinedSplit(np.where(held_out, 0, -1)),
        shared_space=shared_space,
        raw=train,
        raw_steps=[("features", featurizer)],
        names=np.array([f"{image}: {text}" for image, text in train.to_numpy()]),
        shown_gallery=test,
        shown_test=test,
        question=test["text"][0],
    )


def train_towers(train, test, held_out):
    """Train both methods on raw pairs in one line; return the towers, and both tables' features."""
    print("  Towers learn from pairs, then codes from towers:")
    learned = train[~held_out]  # the others are for tuning
    batch_size = min(128, max(2, len(learned) // 4))
    pipeline = make_pipeline(
        ContrastiveFeaturizer(batch_size=batch_size, random_state=0, verbose=1),
        CFRHHasher(random_state=0),
    ).fit(learned)
    features = [pipeline[0].transform(table) for table in (train, test)]
    print_recalls(features[1], pipeline.transform(test))
    return FrozenEstimator(pipeline[0]), features


def print_recalls(features, codes):
    """Print how often the other half of a pair is found, by features and by far shorter codes."""
    values = features.to_numpy()
    n_bits, n_features = codes.shape[1] // 2, values.shape[1] // 2
    random = np.random.default_rng(0).random(codes.shape) < 0.5
    rows = {
        "random codes": (random, n_bits // 8),
        "features, by cosine": (values, 4 * n_features),
        "signs of the features": (values > 0, n_features // 8),
        "CFRH": (codes, n_bits // 8),
    }
    recalls = {}
    heads = ("I->T R@1", "I->T R@10", "T->I R@1", "T->I R@10", "bytes")
    print(f"\n  {'':<22}" + "".join(f"{head:>12}" for head in heads))
    for name, (pairs, n_bytes) in rows.items():
        image, text = np.split(pairs, 2, axis=1)
        found = [hit_rate_at_k(*sides, k=(1, 10)) for sides in ((image, text), (text, image))]
        recalls[name] = np.mean(found, axis=0)
        print(f"  {name:<22}" + "".join(f"{r:>12.3f}" for r in np.ravel(found)) + f"{n_bytes:>12}")
    kept, factor = recalls["CFRH"] / recalls["features, by cosine"], 32 * n_features // n_bits
    print(f"""
  R@k: the other half of a pair is among the k nearest of {len(codes)} unseen pairs; ties count in
  expectation. Bytes: of one item. Codes keep {kept[1]:.0%} of R@10 at 1/{factor} of the bytes.
""")


def load_wiki():
    """Read Wiki's official features; it has no pictures at hand, so categories are shown."""
    train, test = (fetch_wiki(subset=s, as_frame=True) for s in ("train", "test"))
    names = [np.array(part.target_names)[part.target] for part in (train, test)]
    shown = [
        {side: [f"{side} {row}: {name}" for row, name in enumerate(part)] for side in BLOCKS}
        for part in names
    ]
    return Bunch(
        about="Wiki. Images: 128 SIFT words. Texts: 10 LDA topics.",
        relevant="has the query's category",
        train=train.data,
        test=test.data,
        gallery=train.data,
        y_gallery=train.target,
        y_test=test.target,
        cv=3,
        shared_space=False,
        raw=train.data,
        raw_steps=[],
        names=names[0],
        shown_gallery=shown[0],
        shown_test=shown[1],
        question="5",
    )


def tune(data):
    """Choose the code length and a loss weight by validation on pairs: no label is seen."""
    n_splits = check_cv(data.cv).get_n_splits()
    n_fits = n_splits * np.prod([len(values) for values in GRID.values()])
    say(f"Tuning {' and '.join(GRID)}: {n_fits} fits on pairs alone")
    search = GridSearchCV(
        Pipeline([("hash", CFRHHasher(random_state=0))]),
        GRID,
        scoring=HammingRetriever().as_scorer(),
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


def encode(pipeline, table):
    """Return image codes and text codes of pairs."""
    return np.split(pipeline.transform(table), 2, axis=1)


def measure(gallery_codes, test_codes, data):
    """Query the gallery with the test pairs: mAP over all ranks and at 50, both ways."""
    (image, text), (query_image, query_text) = gallery_codes, test_codes
    return [
        mean_average_precision(queries, gallery, data.y_test, data.y_gallery, k=k)
        for k in (None, 50)
        for queries, gallery in ((query_image, text), (query_text, image))
    ]


def compare(data, best):
    """Print CFRH over seeds beside random codes; return the pipeline of the first seed."""
    n_bits = best["hash__n_bits"]
    say(f"Training with {best} from {len(SEEDS)} seeds, querying with the test pairs")
    rows, pipelines = {"random codes": [], "CFRH": []}, []
    for seed in SEEDS:
        started = time.perf_counter()
        pipeline = Pipeline([("hash", CFRHHasher(random_state=seed))])
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
        print("  Signs of the features lie in two spaces, so they cannot be compared.")
    return pipelines[0]


def draw(pipeline, data, path):
    """Draw three text queries with their pictures, and three picture queries with their texts."""
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    gallery, queries = (
        dict(zip(BLOCKS, encode(pipeline, table), strict=True))
        for table in (data.gallery, data.test)
    )
    figure, axes = plt.subplots(6, 6, figsize=(12, 12.5), layout="constrained")
    for lines, query, found in ((axes[:3], "text", "image"), (axes[3:], "image", "text")):
        RetrievalDisplay.from_codes(
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


def ask(path, question):
    """Load a saved model and answer a caption, or the number of a test article of Wiki."""
    model, index = joblib.load(path), HammingRetriever.open(path.with_suffix(".index"))
    if model["data"] == "wiki":
        test = fetch_wiki(subset="test", as_frame=True)
        row = int(question)
        query = test.data.filter(like="text__").iloc[[row]]
        print(f"  test article {row}, {test.target_names[test.target[row]]}")
    else:
        query = [question]
        print(f"  {question!r}")
    distances, rows = index.kneighbors(model["text"].transform(query))
    for distance, row in zip(distances[0], rows[0], strict=True):
        print(f"    distance {distance:>2}  image {row}: {index.y_[row]}")


def say(text):
    """Announce a step."""
    print(f"\n== {text}", flush=True)


def main():
    """Run the whole job."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=["scenes", "wiki", "own"], default="scenes")
    parser.add_argument("--images", metavar="FOLDER", help="pictures for --data own")
    parser.add_argument("--captions", metavar="FILE", help="their captions: csv, json, parquet")
    parser.add_argument("--output", type=Path, default=Path("output"), metavar="FOLDER")
    parser.add_argument("--ask", metavar="TEXT", help="only ask the saved model")
    arguments = parser.parse_args()
    if arguments.images or arguments.captions:
        arguments.data = "own"
        if not (arguments.images and arguments.captions):
            parser.error("--images and --captions go together: give a folder and a file")
    model_path = arguments.output / f"demo-{arguments.data}.joblib"
    if arguments.ask is not None:
        return ask(model_path, arguments.ask)

    started = time.perf_counter()
    say(f"Data: {arguments.data}")
    loaders = {
        "scenes": load_scenes,
        "wiki": load_wiki,
        "own": lambda: load_own(
            arguments.images, arguments.captions, arguments.output / "features"
        ),
    }
    data = loaders[arguments.data]()
    print(f"  {data.about}\n  {len(data.train)} pairs to learn from, {len(data.test)} queries")
    best = tune(data)
    compared = compare(data, best)

    say("Training the pipeline to ship, from raw pairs to codes")
    pipeline = Pipeline([*data.raw_steps, ("hash", CFRHHasher(random_state=SEEDS[0]))])
    image_codes = np.split(pipeline.set_params(**best).fit_transform(data.raw), 2, axis=1)[0]
    towers = split_towers(pipeline)
    arguments.output.mkdir(parents=True, exist_ok=True)
    joblib.dump({"data": arguments.data, "text": towers.text}, model_path)
    index = HammingRetriever(n_neighbors=5).fit(image_codes, data.names)
    index.save(model_path.with_suffix(".index"))
    print(
        f"  saved the text tower, {model_path} ({model_path.stat().st_size / 1e6:.1f} MB),\n"
        f"  and the index of pictures, {model_path.with_suffix('.index')}; a new process answers:"
    )
    # One argument, since a caption may begin with a dash.
    command = [sys.executable, __file__, *sys.argv[1:], f"--ask={data.question}"]
    subprocess.run(command, check=True)

    say(f"The codes of seed {SEEDS[0]} in detail")
    codes = compared.transform(data.test)
    if data.gallery is data.test:  # without a gallery, no item finds itself
        print(retrieval_report(codes, y=data.y_test))
    else:
        gallery_codes = compared.transform(data.gallery)
        print(retrieval_report(codes, gallery_codes, data.y_test, data.y_gallery))

    picture = arguments.output / f"demo-{arguments.data}.png"
    draw(compared, data, picture)
    say(f"Queries in both directions with their nearest items: {picture}")
    print(f"  done in {time.perf_counter() - started:.0f} s")
    return None


if __name__ == "__main__":
    main()
