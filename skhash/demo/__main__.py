"""Run the demo."""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import joblib
from sklearn.pipeline import Pipeline

from .. import datasets, metrics, retrieval, split_towers
from .._libraries import import_optional
from . import __doc__ as about
from . import own, serve
from .choosing import choose, say
from .data import load_own, load_scenes, load_wiki
from .quality import SEEDS, compare, draw, encode


def ask(path, question):
    """Load a saved model and answer a text, or the number of a test article of Wiki."""
    if path.name == own.NAME:
        own.ask(path, question)
        return
    model, index = joblib.load(path), retrieval.HammingRetriever.open(path.with_suffix(".index"))
    if model["data"] == "wiki":
        test = datasets.fetch_wiki(subset="test", as_frame=True)
        if not (question.isascii() and question.isdigit() and int(question) < len(test.data)):
            raise ValueError(
                f"Wiki's texts are given as topics, not words, got {question!r}: ask with the "
                f"number of a test article, 0 to {len(test.data) - 1}."
            )
        row = int(question)
        query = test.data.filter(like="text__").iloc[[row]]
        print(f"  test article {row}, {test.target_names[test.target[row]]}")
    else:
        query = [question]
        print(f"  {question!r}")
    distances, rows = index.kneighbors(model["text"].transform(query))
    for distance, row in zip(distances[0], rows[0], strict=True):
        print(f"    distance {distance:>2}  image {row}: {index.y_[row]}")


def save(path, towers, hasher, data):
    """Save the text pipeline, and an index of the codes of the training pictures."""
    say("Saving the text pipeline, and an index of the pictures' codes")
    image_codes, _ = encode(hasher, data.train)
    joblib.dump({"data": path.stem.removeprefix("demo-"), "text": towers.text}, path)
    index = retrieval.HammingRetriever(n_neighbors=5).fit(image_codes, data.names)
    index.save(path.with_suffix(".index"))
    print(
        f"  saved the text pipeline, {path} ({path.stat().st_size / 1e6:.1f} MB),\n"
        f"  and the index of pictures, {path.with_suffix('.index')}; a new process answers:"
    )


def save_own(path, towers, hasher, data):
    """Save both pipelines, and indexes of all photographs and of all captions."""
    say("Saving both encoders, and an index of all photographs")
    n_photographs = own.save_pairs(path, towers, data, *encode(hasher, data.features))
    print(
        f"  saved the encoders, {path} ({path.stat().st_size / 1e6:.1f} MB), and the index of\n"
        f"  {n_photographs} photographs, {path.with_suffix('.index')}"
    )
    own.add_others(path)
    print("  A new process answers:")


def parse(arguments=None):
    """Read the command line, and notice a missing file before anything is loaded."""
    parser = argparse.ArgumentParser(
        prog="python -m skhash.demo", description=about.splitlines()[0]
    )
    parser.add_argument("--data", choices=["scenes", "wiki", "own"], help="default: scenes")
    parser.add_argument("--images", metavar="FOLDER", help="photographs of your own")
    parser.add_argument("--captions", metavar="FILE", help="their captions: csv, json, parquet")
    parser.add_argument("--output", type=Path, default=Path("output"), metavar="FOLDER")
    parser.add_argument("--ask", metavar="TEXT", help="only ask the model that was saved last")
    parser.add_argument("--add", nargs="+", metavar="PATH", help="only add photographs to it")
    parser.add_argument("--remove", nargs="+", metavar="NAME", help="only remove photographs")
    parser.add_argument(
        "--serve", nargs="?", type=int, const=serve.PORT, metavar="PORT", help="only serve a page"
    )
    given = parser.parse_args(arguments)
    if given.images or given.captions or given.data == "own":
        given.data = "own"
        if not uses_saved(given) and not (given.images and given.captions):
            parser.error("--images and --captions go together: give a folder and a file")
        if given.images and not Path(given.images).expanduser().is_dir():
            parser.error(f"there is no folder {given.images}: check --images (IMAGES=)")
        if given.captions and not Path(given.captions).expanduser().is_file():
            parser.error(f"there is no file {given.captions}: check --captions (CAPTIONS=)")
    return given


def uses_saved(given):
    """Say whether a saved model is used, and none trained."""
    return bool(given.add or given.remove or {given.ask, given.serve} != {None})


def use_saved(given):
    """Change or ask a saved model, if that is what the command line says; say whether it is."""
    if given.add or given.remove:
        path = own.latest(given.output, "own")
        if given.add:
            own.add(path, given.add)
        if given.remove:
            own.remove(path, given.remove)
    if given.ask is not None:
        ask(own.latest(given.output, given.data), given.ask)
    if given.serve is not None:
        serve.serve(own.latest(given.output, "own"), given.serve)
    return uses_saved(given)


def main():
    """Run the whole job, or only use the saved model."""
    arguments = parse()
    try:
        if use_saved(arguments):
            return
    except ValueError as error:
        sys.exit(f"{error}")
    arguments.data = arguments.data or "scenes"
    model_path = arguments.output / f"demo-{arguments.data}.joblib"

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
    try:
        data = loaders[arguments.data]()
    except (FileNotFoundError, ValueError) as error:
        if arguments.data != "own":
            raise
        hint = "The demo has no such option: rename the columns to image and caption in the file."
        sys.exit(f"{error}\n{hint}" if "_column" in str(error) else f"{error}")
    print(f"  {data.about}\n  {len(data.train)} pairs to learn from, {len(data.test)} queries")
    arguments.output.mkdir(parents=True, exist_ok=True)
    choice = choose(data, plt, arguments.output / f"demo-{arguments.data}-choosing.png")
    compared = compare(data, choice)

    pipeline = Pipeline([*data.raw_steps, ("hash", compared)])  # of fitted steps
    if arguments.data == "own":
        save_own(model_path, split_towers(pipeline), compared, data)
    else:
        save(model_path, split_towers(pipeline), compared, data)
    # One argument, since a caption may begin with a dash.
    asked = [f"--data={arguments.data}", f"--ask={data.question}"]
    command = [sys.executable, "-m", "skhash.demo", *sys.argv[1:], *asked]
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
    if arguments.data == "own":
        own.say_how(arguments.output)
    print(f"  done in {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
