"""The one Bunch that every loader of pictures in a folder returns."""

import json
import os
from itertools import compress
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from .._blocks import make_table
from .._inputs.cells import is_path, lone_surrogate
from .._inputs.checks import check_choice
from .._inputs.messages import DROPPED_ROWS, cut, shorten, warn
from ._folder import PictureFolder


def check_on_missing(on_missing):
    """Check the parameter `on_missing`."""
    check_choice(on_missing, "on_missing", ("raise", "drop"))


def is_missing(cell, blank_too=True):
    """Say whether a cell holds no caption or no picture: nothing, an empty list or a blank text.

    Most files cannot tell an empty text from a missing one; in memory "" is an empty text.
    Words such as "NA" are captions.

    >>> [is_missing(cell) for cell in (None, float("nan"), [], " ", "NA")]
    [True, True, True, True, False]
    >>> is_missing("", blank_too=False)
    False
    """
    if isinstance(cell, str):
        return blank_too and not cell.strip()
    if isinstance(cell, list):
        return not cell
    return pd.api.types.is_scalar(cell) and bool(pd.isna(cell))


def pair_bunch(
    folder,
    names,
    texts,
    *,
    source,
    title,
    on_missing,
    from_file=True,
    rows=None,
    target=None,
    target_names=None,
):
    """Build the Bunch of pictures in a folder and their captions.

    Parameters
    ----------
    folder : str or path-like
        The folder of the pictures.
    names : list of str or bytes
        Path of each row's picture within the folder, or the bytes of its file.
    texts : list
        Caption of each row.
    source : str
        What names the captions in messages.
    title : str
        First line of ``DESCR``.
    on_missing : {"raise", "drop"}
        What to do with a row whose picture is not there or whose caption is missing.
    from_file : bool, default=True
        Whether the captions come from a file, where a blank one is a missing one.
    rows : list of int or None, default=None
        Number of each row in `source`; ``None`` counts from 0.
    target : ndarray of shape (n_rows,) or (n_rows, n_classes) or None, default=None
        The classes.
    target_names : list of str or None, default=None
        Their names.

    Returns
    -------
    :class:`~sklearn.utils.Bunch`
        With ``frame``, ``group``, ``row``, ``dropped``, ``DESCR`` and, if given, the classes.

    Raises
    ------
    FileNotFoundError
        If the folder is missing, or a picture and `on_missing` is ``"raise"``.
    ValueError
        If there is no row, a name or caption is none, or a name leads out of the folder.
    """
    place = PictureFolder(folder)
    rows = list(range(len(names)) if rows is None else rows)
    columns = [names, texts, rows]
    for i, what, blank_too in ((1, "caption", from_file), (0, "picture", True)):
        cells = columns[i]
        lacking = np.fromiter((is_missing(cell, blank_too) for cell in cells), bool, len(cells))
        if not lacking.any():
            continue
        if on_missing == "raise":
            first = int(np.argmax(lacking))
            hint = "; only a table in memory can hold the empty text ''" if i else ""
            raise ValueError(
                f"{lacking.sum()} of {len(cells)} rows of {source} have no {what}; the first is "
                f"row {columns[2][first]}, which holds {shorten(cells[first])}: write one, or set "
                f"on_missing='drop'{hint}."
            )
        message = f"{lacking.sum()} of {len(cells)} rows of {source} have no {what}"
        warn(f"{message} and were dropped.", about=DROPPED_ROWS)
        columns = [list(compress(column, ~lacking)) for column in columns]
        target = None if target is None else target[~lacking]
    names, texts, rows = columns
    _check_texts(texts, rows, source)
    known, numbers, images, there, first = {}, {}, [], [], []
    group = np.empty(len(names), dtype=np.intp)
    for i, (row, name) in enumerate(zip(rows, names, strict=True)):
        if not isinstance(name, (str, bytes)) or name not in known:
            _check_name(name, row, source)
            found = place.find(name, row, source) if isinstance(name, str) else (name, name, True)
            image, identity, is_there = found
            known[name] = numbers.setdefault(identity, len(numbers)), image
            if len(numbers) > len(there):
                there.append(is_there)
                first.append((image, row))
        group[i], image = known[name]
        images.append(image)
    there = np.array(there, dtype=bool)
    if not there.all() and on_missing == "raise":
        path, row = first[int(np.argmin(there))]
        raise FileNotFoundError(
            f"{(~there).sum()} of {len(there)} pictures are missing, first {cut(path)} in row "
            f"{row} of {source}: correct the name or the folder, or set on_missing='drop'."
        )
    kept = there[group]
    if not kept.any():
        raise ValueError(
            f"{source} holds no pair of a caption and a picture in {folder}: check both paths."
        )
    dropped = [path for (path, _), found in zip(first, there, strict=True) if not found]
    warn_dropped(dropped, f"{(~kept).sum()} of {len(kept)} rows of {source} have no picture")
    image = [image for image, is_kept in zip(images, kept, strict=True) if is_kept]
    text = np.array(texts, dtype=object)[kept]
    bunch = describe(make_table(image=image, text=text), group[kept], dropped, title)
    bunch.row = np.array(rows, dtype=np.int64)[kept]
    if target is not None:
        bunch.update(target=target[kept], target_names=target_names)
    return bunch


def describe(frame, group, dropped, title):
    """Return a Bunch of pairs, its pictures numbered in order and described in ``DESCR``."""
    group, pictures = pd.factorize(np.asarray(group))
    dropped_pictures = f":Dropped: {len(dropped)} pictures\n" if dropped else ""
    return Bunch(
        frame=frame,
        group=group.astype(np.int64),
        dropped=dropped,
        DESCR=f"{title}\n{'=' * len(title)}\n\n"
        f":Pairs: {len(frame):,} of an image and a text, one a row\n"
        f":Pictures: {len(pictures):,}; rows of one picture share a group\n{dropped_pictures}",
    )


def warn_dropped(dropped, what):
    """Warn if rows were dropped."""
    if dropped:
        shown = ", ".join(map(cut, dropped[:3])) + (", ..." if len(dropped) > 3 else "")
        where = "; the attribute dropped lists all" if len(dropped) > 3 else ""
        warn(f"{what} and were dropped: {shown}{where}.", about=DROPPED_ROWS)


def existing_file(path):
    """Return the path of a file after checking that it exists."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"a path is needed, got {shorten(path)}: give a str or a pathlib.Path.")
    path = Path(path).expanduser()
    if path.is_dir():
        raise FileNotFoundError(
            f"{path} is a folder, not a file: in a call that takes both, the folder comes first, "
            "then the captions file."
        )
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}: check the path.")
    return path


def read_json(path):
    """Return the content of a JSON file."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} is not valid JSON ({cut(error)}): give a complete file."
        ) from error


def _check_name(name, row, source):
    is_name = isinstance(name, str) and is_path(name)
    if not is_name and not (isinstance(name, bytes) and name):
        raise ValueError(f"row {row} of {source} names the picture {shorten(name)}: give its path.")


def _check_texts(texts, rows, source):
    for row, text in zip(rows, texts, strict=True):
        if not isinstance(text, str):
            raise ValueError(
                f"row {row} of {source} has the caption {shorten(text)}, which is not a text: drop "
                "the row or write one."
            )
        if lone_surrogate(text) is not None:
            raise ValueError(
                f"row {row} of {source} has the caption {shorten(text)}, which contains a lone "
                "surrogate, half of a character: write it again in UTF-8."
            )
