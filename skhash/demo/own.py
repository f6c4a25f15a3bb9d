"""The saved model of your own photographs: asked, and changed, long after it was trained."""

import difflib
import os
import sys
from pathlib import Path

import joblib
import numpy as np
import pandas as pd

from .. import metrics, retrieval
from .._files import replaced
from .._inputs.messages import UNKNOWN_WORDS, gathering
from .._libraries import import_optional
from .choosing import say

NAME = "demo-own.joblib"
PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
SHOWN = 200  # characters of a caption that an index keeps
N_RESULTS = 5
UNKNOWN = (
    "None of these words is in the captions that the model was trained on, so the results mean "
    "nothing: try other words."
)


class Model:
    """Both encoders and both indexes of a saved model.

    The index of photographs has a code of each photograph; its ids are file names within the
    folder of photographs, or whole paths outside of it, its labels captions. The index of captions
    has a code of each caption; its ids are ``<file name>#<number>``.

    Parameters
    ----------
    path : Path
        What `save` wrote.
    durable : bool, default=False
        Whether changes of the indexes are written to the disk.
    """

    def __init__(self, path, *, durable=False):
        saved = joblib.load(path)
        self.path = path
        self.folder, self.image, self.text = Path(saved["folder"]), saved["image"], saved["text"]
        opened = (
            retrieval.HammingRetriever.open(path.with_suffix(suffix), durable=durable)
            for suffix in (".index", ".captions")
        )
        self.photographs, self.captions = opened

    def encode(self, question):
        """Return the code of a text, and whether the text encoder knows one of its words."""
        with gathering(UNKNOWN_WORDS) as unknown:
            codes = self.text.transform([question])
        return codes, not unknown

    def find(self, question, n_results=N_RESULTS):
        """Find the photographs for a text.

        Returns a table of names, distances and captions, and whether the text encoder knows one of
        the words.
        """
        codes, is_known = self.encode(question)
        return self.photographs.search(codes, n_results), is_known

    def path_of(self, name):
        """Return the path of a photograph."""
        return self.folder / name

    def add(self, paths):
        """Add photographs that the index does not hold yet; return their names."""
        held = held_by(self.photographs)
        names = {name_of(path, self.folder): str(path) for path in paths}
        new = {name: path for name, path in names.items() if name not in held}
        if new:
            codes = self.image.transform(np.array(list(new.values()), dtype=object))
            self.photographs.partial_fit(codes, [""] * len(new), ids=list(new))
        return list(new)

    def remove(self, names):
        """Remove photographs, and their captions, from the indexes; files are not touched."""
        held = held_by(self.photographs)
        names = list(dict.fromkeys(self._known(name, held) for name in names))
        gone = set(names)
        captions = [id_ for id_ in held_by(self.captions) if photograph_of(id_) in gone]
        if captions:
            self.captions.remove(captions)
        self.photographs.remove(names)
        return names

    def _known(self, name, held):
        """Return the id of a photograph that is named by its id or its path."""
        for spelled in (name, name_of(name, self.folder)):
            if spelled in held:
                return spelled
        close = difflib.get_close_matches(name, held, 3)
        hint = f"did you mean {', '.join(close)}?" if close else "nothing was removed."
        raise ValueError(f"there is no photograph {name!r} in the index: {hint}")


def save(path, towers, folder, photographs, captions):
    """Save both encoders and both indexes.

    Parameters
    ----------
    path : Path
        File of the encoders; the folders of the indexes stand beside it.
    towers : Bunch
        The image pipeline and the text pipeline.
    folder : Path
        The folder of the photographs.
    photographs, captions : tuple of (ndarray of shape (n_samples, n_columns), list, list)
        Codes, ids and captions of each index.
    """
    for suffix, (codes, ids, texts) in ((".index", photographs), (".captions", captions)):
        index = retrieval.HammingRetriever(n_neighbors=N_RESULTS)
        index.fit(codes, [text[:SHOWN].rstrip("\0") for text in texts], ids=ids)
        index.save(path.with_suffix(suffix))
    model = {"data": "own", "folder": str(folder), "image": towers.image, "text": towers.text}
    with replaced(path) as file:
        joblib.dump(model, file)


def save_pairs(path, towers, data, image_codes, text_codes):
    """Save a model whose index holds each photograph once, and each caption."""
    names, numbers = caption_names(data.pairs.frame["image"], data.pairs.group, data.folder)
    texts = data.pairs.frame["text"].to_numpy()
    first = numbers == 0
    captions = [f"{name}#{number}" for name, number in zip(names, numbers, strict=True)]
    photographs = image_codes[first], list(names[first]), list(texts[first])
    save(path, towers, data.folder, photographs, (text_codes, captions, list(texts)))
    return int(first.sum())


def caption_names(images, group, folder):
    """Return the name of the photograph of each row, and the number of its caption."""
    rows = pd.DataFrame({"group": group})
    given = [name_of(image, folder) if isinstance(image, str) else None for image in images]
    given = [f"row {row}" if name is None else name for row, name in enumerate(given)]
    rows["name"] = given
    names = rows.groupby("group")["name"].transform("first").to_numpy(dtype=object)
    return names, rows.groupby("group").cumcount().to_numpy()


def name_of(path, folder):
    """Return the id of a photograph: its path within the folder, or all of it outside.

    >>> name_of("/photos/trips/1.jpg", "/photos"), name_of("/other/2.jpg", "/photos")
    ('trips/1.jpg', '/other/2.jpg')
    """
    path = Path(os.path.abspath(path))
    return (path.relative_to(folder) if path.is_relative_to(folder) else path).as_posix()


def photograph_of(caption_id):
    """Return the id of the photograph that a caption belongs to."""
    return caption_id.rpartition("#")[0]


def pictures_in(paths):
    """Return the files that are named, and all pictures in the folders that are named."""
    found = []
    for path in (Path(path).expanduser() for path in paths):
        if path.is_dir():
            inside = (file for file in path.rglob("*") if file.suffix.lower() in PICTURES)
            found += sorted(file for file in inside if file.is_file())
        elif path.is_file():
            found.append(path)
        else:
            raise ValueError(
                f"there is no file or folder {path} to add: check the path, and write a path with "
                """spaces as ADD='"my photos"' or --add "my photos"."""
            )
    return found


def ask(path, question):
    """Answer a text with file names and distances, and draw the photographs."""
    model = Model(path)
    found, is_known = model.find(question)
    print(f"  {question!r}")
    if not is_known:
        print(f"    {UNKNOWN}")
    if found.empty:
        print("    the index holds no photograph: add some with --add")
        return
    width = max(map(len, found["id"]))
    for name, distance, caption in found[["id", "distance", "label"]].itertuples(index=False):
        bits = f"{distance:>3} bit" + ("s" if distance != 1 else " ")
        print(f"    {bits}  {name:<{width}}  {caption}".rstrip())
    picture = path.with_name("demo-own-answer.png")
    draw(model, question, found, picture)
    print(f"  File names are relative to {model.folder}. Picture of the results: {picture}")


def draw(model, question, found, picture):
    """Draw a text and the photographs that were found; a file that is gone is a name."""
    import_optional("matplotlib", extra="plot", purpose="the demo").use("Agg")
    plt = import_optional("matplotlib.pyplot", extra="plot", purpose="the demo")
    paths = {name: model.path_of(name) for name in found["id"]}
    items = [path if path.is_file() else name for name, path in paths.items()]
    display = metrics.RetrievalDisplay([question], [items], [found["distance"].to_numpy()]).plot()
    for axes, name in zip(display.axes_[0, 1:], found["id"], strict=True):
        axes.set_title(Path(name).name[-22:], fontsize=8)
    display.figure_.savefig(picture, dpi=100)
    plt.close(display.figure_)


def add(path, paths):
    """Add photographs to the index of a saved model."""
    found = pictures_in(paths)
    if not found:
        raise ValueError(f"there is no picture to add in {', '.join(paths)}: check the path.")
    model = Model(path, durable=True)
    added = model.add(found)
    n_held = len(found) - len(added)
    others = f"; {n_held} were already in the index" if n_held else ""
    print(f"  {_count(added)} added{others}: {len(model.photographs)} in the index")


def add_others(path):
    """Add the photographs in the folder that have no caption in the table."""
    model = Model(path, durable=True)
    try:
        added = model.add(pictures_in([model.folder]))
    except ValueError as error:
        print(f"  The photographs of the folder without a caption are not in the index: {error}")
    else:
        if added:
            print(f"  and {_count(added)} of the folder without a caption")


def remove(path, names):
    """Remove photographs from the index of a saved model."""
    model = Model(path, durable=True)
    removed = model.remove(names)
    print(f"  {_count(removed)} removed: {len(model.photographs)} in the index")
    print("  The files are not deleted; --add puts photographs back, without their captions.")


def _count(names):
    return f"{len(names)} photograph" + ("s" if len(names) != 1 else "")


def latest(output, data=None):
    """Return the path of a saved model: of `data`, or the one that was saved last."""
    models = sorted(output.glob(f"demo-{data or '*'}.joblib"), key=lambda p: p.stat().st_mtime)
    if models:
        return models[-1]
    kind = {"own": " of your own photographs", None: ""}.get(data, f" of {data}")
    how = "make demo IMAGES=folder CAPTIONS=file.csv" if data == "own" else "make demo"
    raise ValueError(f"there is no saved model{kind} in the folder {output}: run {how!r} first.")


def say_how(output):
    """Say how to ask and to change the model in a later process."""
    python = Path(sys.executable)
    if python.is_relative_to(Path.cwd()):
        python = python.relative_to(Path.cwd())
    given = "" if output == Path("output") else f" --output {output}"
    command = f"{python} -m skhash.demo{given}"
    say("To ask again, at any time")
    print(f"""\
  {command} --ask "two dogs on a beach"
  {command} --add FOLDER_OR_FILES
  {command} --remove NAMES
  {command} --serve
  or make demo ASK="two dogs on a beach", ADD=folder, REMOVE=names, SERVE=1 (a page)""")


def held_by(index):
    """Return the ids that an index holds, in the order of its rows."""
    return dict.fromkeys(index.ids_[index._item_rows()].tolist())
