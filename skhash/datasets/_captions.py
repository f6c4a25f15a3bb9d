"""Caption files of COCO and Flickr, and the splits of Karpathy and Fei-Fei."""

import csv
import os
import re
from contextlib import contextmanager

import numpy as np

from ._pairs import check_on_missing, existing_file, pair_bunch, read_json

# "name.jpg#0<tab>caption" and "name.jpg| 0| caption"; one line of the latter lacks its second bar.
FLICKR_LINE = re.compile(r"([^\t#|]+)#\d+\t(.*)|([^|]+)\|\s*\d+\s*\|?\s*(.*)")


def load_coco_captions(folder, captions, *, instances=None, on_missing="raise"):
    """Load COCO's captions, and the classes of its instances.

    A row is a pair of a picture and one caption, in the order of the file.

    Parameters
    ----------
    folder : str or path-like
        The folder of the pictures, such as ``val2017``.
    captions : str or path-like
        The file of captions, such as ``captions_val2017.json``.
    instances : str, path-like or None, default=None
        The file of instances that belongs to it, such as ``instances_val2017.json``; ``None``
        means no classes.
    on_missing : {"raise", "drop"}, default="raise"
        What a row does whose picture is not in the folder: raise an error, or be left out, with a
        warning.

    Returns
    -------
    :class:`~sklearn.utils.Bunch`
        As :func:`load_image_table` returns it: ``frame``, ``group``, ``dropped``, ``DESCR`` and,
        with `instances`, ``target`` of shape (n_rows, n_classes), uint8, which is 1 where the
        picture shows an instance of the class, and ``target_names``, in the order of their ids.

    Raises
    ------
    FileNotFoundError
        If the folder, a file or a picture is missing.
    ValueError
        If a file is not in COCO's format, the instances are of other pictures, or a path leads out
        of the folder.

    References
    ----------
    T.-Y. Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014.

    Examples
    --------
    >>> import json, tempfile
    >>> from pathlib import Path
    >>> from skhash.datasets import load_coco_captions
    >>> content = {
    ...     "images": [{"id": 7, "file_name": "7.jpg"}],
    ...     "annotations": [{"id": 1, "image_id": 7, "caption": "two dogs"}],
    ... }
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "7.jpg").touch()
    ...     captions = Path(folder, "captions.json")
    ...     _ = captions.write_text(json.dumps(content))
    ...     load_coco_captions(folder, captions).frame["text"].tolist()
    ['two dogs']
    """
    check_on_missing(on_missing)
    path = existing_file(captions)
    content = read_json(path)
    with _in_format_of(path, "COCO's captions"):
        names = {image["id"]: image["file_name"] for image in content["images"]}
        ids = [annotation["image_id"] for annotation in content["annotations"]]
        texts = [annotation["caption"] for annotation in content["annotations"]]
        names_of_rows = [names[i] for i in ids]
    target, target_names = (None, None) if instances is None else _read_classes(instances, ids)
    return pair_bunch(
        folder,
        names_of_rows,
        texts,
        target=target,
        target_names=target_names,
        source=str(path),
        title="Captions in COCO's format",
        on_missing=on_missing,
    )


def load_flickr_captions(folder, captions, *, on_missing="raise"):
    r"""Load the captions of Flickr8k or Flickr30k.

    A row is a pair of a picture and one caption, in the order of the file.

    Parameters
    ----------
    folder : str or path-like
        The folder of the pictures.
    captions : str or path-like
        The file of captions: ``results.csv``, whose lines are ``name| number| caption``;
        ``Flickr8k.token.txt`` or ``results_20130124.token``, whose lines are name, ``#``, number,
        tab, caption; or ``captions.txt``, which begins with ``image,caption`` and goes on as such
        a table.
    on_missing : {"raise", "drop"}, default="raise"
        What a row does whose picture is not in the folder: raise an error, or be left out, with a
        warning. Flickr8k's own file names a picture that it does not bring,
        ``2258277193_586949ec62.jpg.1``.

    Returns
    -------
    :class:`~sklearn.utils.Bunch`
        As :func:`load_image_table` returns it: ``frame``, ``group``, ``dropped``, ``DESCR``.

    Raises
    ------
    FileNotFoundError
        If the folder, the file or a picture is missing.
    ValueError
        If a line has another format, or a path leads out of the folder.

    References
    ----------
    M. Hodosh, P. Young and J. Hockenmaier, "Framing Image Description as a Ranking Task", Journal
    of Artificial Intelligence Research, 2013.

    P. Young, A. Lai, M. Hodosh and J. Hockenmaier, "From image descriptions to visual denotations",
    Transactions of the Association for Computational Linguistics, 2014.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skhash.datasets import load_flickr_captions
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "7.jpg").touch()
    ...     captions = Path(folder, "Flickr8k.token.txt")
    ...     _ = captions.write_text("7.jpg#0\tTwo dogs .\n7.jpg#1\tDogs play .\n")
    ...     load_flickr_captions(folder, captions).frame["text"].tolist()
    ['Two dogs .', 'Dogs play .']
    """
    check_on_missing(on_missing)
    path = existing_file(captions)
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8 ({error}): convert it.") from error
    is_table = lines[0].rstrip() == "image,caption"
    rows, names, texts = [], [], []
    for row, line in enumerate(lines):
        if not line.strip() or (row == 0 and (is_table or line.startswith("image_name|"))):
            continue
        parts = next(csv.reader([line.rstrip()])) if is_table else _flickr_parts(line)
        if len(parts) != 2:
            raise ValueError(
                f"row {row} of {path} is neither 'name| number| caption' nor name, '#', number, "
                f"tab, caption, nor two fields under 'image,caption': {line[:80]!r}; for other "
                "tables use load_image_table."
            )
        rows.append(row)
        names.append(parts[0])
        texts.append(parts[1])
    return pair_bunch(
        folder,
        names,
        texts,
        rows=rows,
        source=str(path),
        title="Captions in Flickr's format",
        on_missing=on_missing,
    )


def _flickr_parts(line):
    """Return the name and the caption in a line, or nothing."""
    match = FLICKR_LINE.fullmatch(line.rstrip())
    return [part for part in match.groups() if part is not None] if match else []


def load_karpathy(folder, captions, *, split="train", on_missing="raise"):
    """Load one of the splits of COCO, Flickr8k or Flickr30k by Karpathy and Fei-Fei.

    A row is a pair of a picture and one caption; the rows of a picture are adjacent.

    Parameters
    ----------
    folder : str or path-like
        The folder of the pictures; for COCO the one that holds ``train2014`` and ``val2014``.
    captions : str or path-like
        The file of captions and splits, such as ``dataset_coco.json``.
    split : str or list of str, default="train"
        The split or splits: ``"train"``, ``"val"``, ``"test"``, and for COCO ``"restval"``, which
        most papers train on too: ``["train", "restval"]``.
    on_missing : {"raise", "drop"}, default="raise"
        What a row does whose picture is not in the folder: raise an error, or be left out, with a
        warning.

    Returns
    -------
    :class:`~sklearn.utils.Bunch`
        As :func:`load_image_table` returns it: ``frame``, ``group``, ``dropped``, ``DESCR``.

    Raises
    ------
    FileNotFoundError
        If the folder, the file or a picture is missing.
    ValueError
        If the file has another format, there is no such split, or a path leads out of the folder.

    Notes
    -----
    In messages, the row of a picture is its place in the list ``images`` of the file.

    References
    ----------
    A. Karpathy and L. Fei-Fei, "Deep Visual-Semantic Alignments for Generating Image Descriptions",
    CVPR 2015.

    Examples
    --------
    >>> import json, tempfile
    >>> from pathlib import Path
    >>> from skhash.datasets import load_karpathy
    >>> image = {"filename": "7.jpg", "split": "test", "sentences": [{"raw": "two dogs"}]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "7.jpg").touch()
    ...     captions = Path(folder, "dataset.json")
    ...     _ = captions.write_text(json.dumps({"images": [image]}))
    ...     load_karpathy(folder, captions, split="test").frame["text"].tolist()
    ['two dogs']
    """
    check_on_missing(on_missing)
    path = existing_file(captions)
    content = read_json(path)
    wanted = list(split) if isinstance(split, (list, tuple)) else [split]
    with _in_format_of(path, "Karpathy's splits"):
        known = dict.fromkeys(image["split"] for image in content["images"])
        pairs = [
            (row, os.path.join(image.get("filepath", ""), image["filename"]), sentence["raw"])
            for row, image in enumerate(content["images"])
            if image["split"] in wanted
            for sentence in image["sentences"]
        ]
    if not wanted or not known.keys() >= set(wanted):
        raise ValueError(
            f"{path} has the splits {', '.join(map(repr, known))}, got split={split!r}: name one "
            "or a list of them."
        )
    return pair_bunch(
        folder,
        [name for _, name, _ in pairs],
        [text for _, _, text in pairs],
        rows=[row for row, _, _ in pairs],
        source=str(path),
        title=f"Karpathy's split {' and '.join(wanted)}",
        on_missing=on_missing,
    )


def _read_classes(instances, ids):
    """Return the classes of the pictures with these ids, and their names."""
    path = existing_file(instances)
    content = read_json(path)
    with _in_format_of(path, "COCO's instances"):
        names = {category["id"]: category["name"] for category in content["categories"]}
        column = {number: j for j, number in enumerate(sorted(names))}
        line = {image["id"]: i for i, image in enumerate(content["images"])}
        target = np.zeros((len(line), len(column)), dtype=np.uint8)
        for annotation in content["annotations"]:
            target[line[annotation["image_id"]], column[annotation["category_id"]]] = 1
    strange = set(ids).difference(line)
    if strange:
        raise ValueError(
            f"{path} does not list {len(strange)} of the pictures that have captions, first "
            f"{min(strange)}: give the instances of the same pictures."
        )
    return target[[line[i] for i in ids]], [names[number] for number in column]


@contextmanager
def _in_format_of(path, what):
    try:
        yield
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is not in the format of {what} ({type(error).__name__}: {error}): give the "
            "official file."
        ) from error
