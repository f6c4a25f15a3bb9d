"""A folder of pictures and a table of captions."""

import json
import os
from collections.abc import Hashable

import narwhals as nw
import numpy as np
import pandas as pd
from pandas.api.types import is_list_like
from sklearn.preprocessing import MultiLabelBinarizer

from .._blocks import is_table
from .._inputs.cells import unwrap_image
from .._inputs.messages import cut, shorten
from .._libraries import import_optional
from ._pairs import check_on_missing, existing_file, pair_bunch, read_json
from ._separated import read_separated

IMAGE_COLUMNS = ("image", "image_path", "filename", "file_name", "file", "filepath", "path")
TEXT_COLUMNS = ("text", "caption", "captions", "sentence", "sentences", "description", "comment")


def load_image_table(
    folder,
    captions,
    *,
    image_column=None,
    text_column=None,
    label_column=None,
    on_missing="raise",
):
    r"""Load a folder of pictures and a table of their captions.

    Each row of the result is a pair of a picture and one caption. A picture with several captions
    has several rows, with the same ``group``. Pictures are not opened here.

    Parameters
    ----------
    folder : str or path-like
        The folder of the pictures.
    captions : str, path-like or dataframe
        A file that ends in ``.csv`` (its cells separated by commas, or by semicolons or tabulators
        if there is no comma in the header), ``.tsv``, ``.json`` (a list of objects, or an object of
        columns), ``.jsonl`` or ``.parquet`` (extra ``parquet``), in UTF-8; or a dataframe. A cell
        may contain a list of captions; an empty list is a missing caption. Other columns are
        ignored.
    image_column : str or None, default=None
        Column of the pictures: paths within `folder`, bytes of files, or dicts ``{"bytes": ...,
        "path": ...}``, as in parquet files of Hugging Face. ``None`` means the column that is
        called ``image``, ``image_path``, ``filename``, ``file_name``, ``file``, ``filepath`` or
        ``path``, in letters of any case.
    text_column : str or None, default=None
        Column of the captions. ``None`` means the column that is called ``text``, ``caption(s)``,
        ``sentence(s)``, ``description`` or ``comment``.
    label_column : str or None, default=None
        Column of the classes: one in each cell, or a list. ``None`` means that there are no
        classes.
    on_missing : {"raise", "drop"}, default="raise"
        What to do with a row whose picture is not in the folder, or that has no picture or no
        caption: raise an error, or leave it out with a warning. In a file, a blank caption is a
        missing one; in a dataframe, ``""`` is an empty text. Words such as "NA" are captions.

    Returns
    -------
    :class:`~sklearn.utils.Bunch`
        With the attributes

        frame : pandas.DataFrame of shape (n_rows, 2)
            The column ``image`` contains paths (or bytes), and the column ``text`` captions.
        group : ndarray of shape (n_rows,), int64
            Number of the picture, the same for all spellings of its path. Rows of one group must
            not be split between training and test.
        row : ndarray of shape (n_rows,), int64
            Row number, in the table, of each pair. For example, ``table["stars"].iloc[row]`` is
            another column for the pairs.
        target : ndarray of shape (n_rows,), int64, or (n_rows, n_classes), uint8
            The class, as an index into `target_names`; or, with several classes in a row,
            indicators, 1 for each class of the row and 0 elsewhere. Only with `label_column`.
        target_names : list of str
            The classes, sorted. Only with `label_column`.
        dropped : list of str
            Paths of the pictures that are missing. Rows without a picture or a caption are not
            listed: they are those absent from `row`.
        DESCR : str
            Description of the data set.

    Raises
    ------
    FileNotFoundError
        If the folder, the file or a picture is missing.
    ImportError
        If the file is parquet, and pyarrow (extra ``parquet``) is not installed.
    ValueError
        If the file cannot be read, a column cannot be identified, a caption, a name or a label is
        missing, labels have different types, or a path or link leads out of the folder.

    See Also
    --------
    load_coco_captions : COCO's own files.
    load_flickr_captions : Flickr8k's and Flickr30k's own files.

    Notes
    -----
    In error messages, rows of a table are counted from 0.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skhash.datasets import load_image_table
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("1.jpg", "2.jpg"):
    ...         Path(folder, name).touch()
    ...     table = Path(folder, "captions.csv")
    ...     _ = table.write_text("file,caption\n2.jpg,two dogs\n1.jpg,a cat\n2.jpg,dogs\n")
    ...     pairs = load_image_table(folder, table)
    >>> pairs.frame["text"].tolist(), pairs.group.tolist()
    (['two dogs', 'a cat', 'dogs'], [0, 1, 0])
    >>> pairs.row.tolist()
    [0, 1, 2]

    A seeded split that keeps the captions of a picture together:

    >>> from sklearn.model_selection import GroupShuffleSplit
    >>> splitter = GroupShuffleSplit(1, test_size=0.5, random_state=0)
    >>> train, test = next(splitter.split(pairs.frame, groups=pairs.group))
    >>> pairs.frame["text"][train].tolist(), pairs.frame["text"][test].tolist()
    (['two dogs', 'dogs'], ['a cat'])
    """
    check_on_missing(on_missing)
    table, source = _read_table(captions)
    image_column = _column(table, image_column, "image_column", IMAGE_COLUMNS, source)
    text_column = _column(table, text_column, "text_column", TEXT_COLUMNS, source)
    texts = _lists(table[text_column])
    images = [_picture(cell) for cell in table[image_column].tolist()]
    rows = list(range(len(table)))
    if any(isinstance(cell, list) for cell in texts):
        # A cell with several captions becomes as many rows; an empty list is a missing caption.
        several = [cell if isinstance(cell, list) and cell else [cell] for cell in texts]
        rows = [row for row, captions in enumerate(several) for _ in captions]
        texts = [text for captions in several for text in captions]
    target = target_names = None
    if label_column is not None:
        labels = _lists(table[_column(table, label_column, "label_column", (), source)])
        target, target_names = _encode(labels, source)
        target = target[rows]
    return pair_bunch(
        folder,
        [images[row] for row in rows],
        texts,
        rows=rows,
        target=target,
        target_names=target_names,
        source=source,
        title="Pictures of a folder and a table of captions",
        on_missing=on_missing,
        from_file=not is_table(captions),
    )


def _read_table(captions):
    """Return a pandas table, and what to call it."""
    if is_table(captions):
        return nw.from_native(captions, eager_only=True).to_pandas(), "the table"
    path = existing_file(captions)
    kind = path.suffix.lower()
    if kind not in READERS:
        raise ValueError(
            f"{path} must end in one of {', '.join(READERS)}: rename it, or read it into a "
            "dataframe and give that."
        )
    if kind == ".parquet":
        import_optional("pyarrow", extra="parquet", purpose="reading parquet")
    try:
        return READERS[kind](path), str(path)
    except Exception as error:  # each library raises its own
        hint = ""
        if isinstance(error, UnicodeDecodeError):
            hint = (
                "; save it as UTF-8, or read it by pd.read_csv(..., encoding='cp1252'), or 'utf-16'"
            )
        elif kind == ".csv":
            with path.open(encoding="utf-8", errors="replace") as file:
                hint = _hint(file.readline(10_000))
        raise ValueError(
            f"{path} cannot be read as {kind[1:]} ({type(error).__name__}: {cut(error).strip()}): "
            f"correct it, or give a dataframe instead{hint}."
        ) from error


def _hint(header):
    """End a message about a table of commas whose header has semicolons, too."""
    if ";" not in header:
        return ""
    return "; the file seems to use semicolons: read it by pd.read_csv(..., sep=';')"


def _read_json_lines(path):
    lines = path.read_text(encoding="utf-8-sig").split("\n")
    return pd.DataFrame([json.loads(line) for line in lines if line.strip()], dtype=object)


def _read_parquet(path):
    from pyarrow import parquet

    table = parquet.read_table(path, page_checksum_verification=True)
    table.validate(full=True)  # else a text that is no UTF-8 fails where it is used
    return table.to_pandas()


READERS = {
    ".csv": read_separated,
    ".tsv": lambda path: read_separated(path, "\t"),
    ".json": lambda path: pd.DataFrame(read_json(path), dtype=object),
    ".jsonl": _read_json_lines,
    ".parquet": _read_parquet,
}


def _column(table, name, parameter, guesses, source):
    """Return the name of a column, given or inferred."""
    columns = list(table.columns)
    if name is not None and name in columns:
        return name
    shown = ", ".join(map(shorten, columns[:8])) + (", ..." if len(columns) > 8 else "")
    if name is not None:
        raise ValueError(
            f"{source} has no column {shorten(name)}: set {parameter} to one of {shown}."
        )
    found = [column for column in columns if str(column).strip().lower() in guesses]
    if len(found) != 1:
        matches = f"{', '.join(map(shorten, found))} match" if found else "no column matches"
        hint = _hint(" ".join(map(str, columns)))
        raise ValueError(
            f"{parameter} cannot be inferred from {source}, {matches}: set it to one of {shown}"
            f"{hint}."
        )
    return found[0]


def _lists(column):
    """Return the cells of a column, those that are arrays or tuples as lists."""
    cells = (cell.tolist() if isinstance(cell, np.ndarray) else cell for cell in column.tolist())
    return [list(cell) if isinstance(cell, tuple) else cell for cell in cells]


def _picture(cell):
    if isinstance(cell, str):
        return cell
    cell = unwrap_image(cell)
    return os.fspath(cell) if isinstance(cell, os.PathLike) else cell


def _encode(labels, source):
    """Return the classes as numbers, and their names."""
    sets = [label if isinstance(label, list) else [label] for label in labels]
    for row, members in enumerate(sets):
        if not all(_is_class(one) for one in members):
            raise ValueError(
                f"row {row} of {source} has the label {shorten(labels[row])}: give a class."
            )
    classes = {one for members in sets for one in members}
    try:
        names = sorted(classes)
    except TypeError as error:
        kinds = ", ".join(sorted({type(one).__name__ for one in classes}))
        raise ValueError(
            f"the labels of {source} cannot be sorted, they are of the types {kinds}: give classes "
            "of one type."
        ) from error
    if any(isinstance(label, list) for label in labels):
        target = MultiLabelBinarizer(classes=names).fit_transform(sets)
        return np.asarray(target, dtype=np.uint8), [str(name) for name in names]
    number = {name: i for i, name in enumerate(names)}
    return np.array([number[one] for (one,) in sets], dtype=np.int64), [str(one) for one in names]


def _is_class(one):
    is_scalar = isinstance(one, Hashable) and not is_list_like(one)
    return is_scalar and not bool(pd.isna(one)) and one != ""
