"""Run the demo."""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import joblib
import numpy as np
from sklearn.pipeline import Pipeline

from .. import datasets, metrics, retrieval, split_towers
from .._libraries import import_optional
from . import __doc__ as about
from .choosing import choose, say
from .data import load_own, load_scenes, load_wiki
from .quality import SEEDS, compare, draw


def ask(path, question):
    """Load a saved model and answer a caption, or the number of a test article of Wiki."""
    model, index = joblib.load(path), retrieval.HammingRetriever.open(path.with_suffix(".index"))
    if model["data"] == "wiki":
        test = datasets.fetch_wiki(subset="test", as_frame=True)
        row = int(question)
        query = test.data.filter(like="text__").iloc[[row]]
        print(f"  test article {row}, {test.target_names[test.target[row]]}")
    else:
        query = [question]
        print(f"  {question!r}")
    distances, rows = index.kneighbors(model["text"].transform(query))
    for distance, row in zip(distances[0], rows[0], strict=True):
        print(f"    distance {distance:>2}  image {row}: {index.y_[row]}")


def main():
    """Run the whole job, or only query the saved model."""
    parser = argparse.ArgumentParser(
        prog="python -m skhash.demo", description=about.splitlines()[0]
    )
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
        ask(model_path, arguments.ask)
        return

    # First, so that a missing library is reported before the training.
    import_optional("matplotlib", extra="plot", purpose="the demo").use("Agg")
    plt = import_optional("matplotlib.pyplot", extra="plot", purpose="the demo")
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
    arguments.output.mkdir(parents=True, exist_ok=True)
    choice = choose(data, plt, arguments.output / f"demo-{arguments.data}-choosing.png")
    compared = compare(data, choice)

    say("Saving the text pipeline, and an index of the pictures' codes")
    pipeline = Pipeline([*data.raw_steps, ("hash", compared)])  # of fitted steps
    image_codes = np.split(compared.transform(data.train), 2, axis=1)[0]
    text_pipeline = split_towers(pipeline).text
    joblib.dump({"data": arguments.data, "text": text_pipeline}, model_path)
    index = retrieval.HammingRetriever(n_neighbors=5).fit(image_codes, data.names)
    index.save(model_path.with_suffix(".index"))
    print(
        f"  saved the text pipeline, {model_path} ({model_path.stat().st_size / 1e6:.1f} MB),\n"
        f"  and the index of pictures, {model_path.with_suffix('.index')}; a new process answers:"
    )
    # One argument, since a caption may begin with a dash.
    command = [sys.executable, "-m", "skhash.demo", *sys.argv[1:], f"--ask={data.question}"]
    subprocess.run(command, check=True)

    say(f"The codes of {choice.name}, seed {SEEDS[0]}, in detail")
    codes = compared.transform(data.test)
    if data.gallery is data.test:  # without a gallery, no item finds itself
        print(metrics.retrieval_report(codes, y=data.y_test))
    else:
        gallery_codes = compared.transform(data.gallery)
        print(metrics.retrieval_report(codes, gallery_codes, data.y_test, data.y_gallery))

    picture = arguments.output / f"demo-{arguments.data}.png"
    draw(compared, data, picture, plt)
    say(f"Queries in both directions with their nearest items: {picture}")
    print(f"  done in {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
