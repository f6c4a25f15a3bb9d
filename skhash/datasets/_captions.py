"""Caption files of COCO and Flickr, and the splits of Karpathy and Fei-Fei."""

import os
import posixpath
import re
import unicodedata

from .._inputs.messages import cut, shorten
from ._coco import in_format_of, read_captions, read_classes
from ._pairs import check_on_missing, existing_file, pair_bunch, read_json
from ._separated import records

# "name.jpg#0<tab>caption" and "name.jpg| 0| caption"; one line of the latter lacks its second bar.
FLICKR_LINE = re.compile(r"([^\t#|]+)#\d+(?:\t|$)(.*)|([^|]+)\|\s*\d+\s*\|?\s*(.*)")


def load_coco_captions(folder, captions, *, instances=None, on_missing="raise"):
    """Load COCO's captions, and the classes of its instances.

    Each row is a pair of a picture and one caption, in the order of the file.

    Parameters
    ----------
    folder : str or path-like
        The folder of the pictures, such as ``val2017``.
    captions : str or path-like
        The file of captions, such as ``captions_val2017.json``.
    instances : str, path-like or None, default=None
        The file of the instances of the same pictures, such as ``instances_val2017.json``. ``None``
        means no classes.
    on_missing : {"raise", "drop"}, default="raise"
        What to do with a row whose picture is not in the folder, or whose caption is missing: raise
        an error, or leave it out with a warning.

    Returns
    -------
    :class:`~sklearn.utils.Bunch`
        As in :func:`load_image_table`: ``frame``, ``group``, ``dropped``, ``DESCR`` and, with
        `instances`, ``target`` of shape (n_rows, n_classes), uint8, which is 1 if the picture
        contains an instance of the class, and ``target_names``, in the order of the ids of the
        classes.

    Raises
    ------
    FileNotFoundError
        If the folder, a file or a picture is missing.
    ValueError
        If a file is not in the format of COCO, two pictures have the same id, an annotation refers
        to a picture that is not listed, the instances are of other pictures, or a path or link
        leads out of the folder.

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
    names, ids, texts = read_captions(path)
    target, target_names = (
        (None, None) if instances is None else read_classes(instances, ids, names)
    )
    return pair_bunch(
        folder,
        [names[number] for number in ids],
        texts,
        target=target,
        target_names=target_names,
        source=str(path),
        title="Captions in COCO's format",
        on_missing=on_missing,
    )


def load_flickr_captions(folder, captions, *, on_missing="raise"):
    r"""Load the captions of Flickr8k or Flickr30k.

    Each row is a pair of a picture and one caption, in the order of the file.

    Parameters
    ----------
    folder : str or path-like
        The folder of the pictures.
    captions : str or path-like
        The file of captions: ``results.csv``, whose lines are ``name| number| caption``;
        ``Flickr8k.token.txt`` or ``results_20130124.token``, whose lines are name, ``#``, number,
        tab, caption; or ``captions.txt``, a table whose first line is ``image,caption``.
    on_missing : {"raise", "drop"}, default="raise"
        What to do with a row whose picture is not in the folder, or whose caption is missing: raise
        an error, or leave it out with a warning. The official file of Flickr8k lists a picture that
        is not part of the data set, ``2258277193_586949ec62.jpg.1``.

    Returns
    -------
    :class:`~sklearn.utils.Bunch`
        As in :func:`load_image_table`: ``frame``, ``group``, ``dropped``, ``DESCR``.

    Raises
    ------
    FileNotFoundError
        If the folder, the file or a picture is missing.
    ValueError
        If a line has another format, or a path or link leads out of the folder.

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
        content = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text ({cut(error)}): convert it.") from error
    rows, names, texts = [], [], []
    for row, parts in _flickr_rows(content, path):
        if len(parts) != 2:
            raise ValueError(
                f"row {row} of {path} is neither 'name| number| caption' nor name, '#', number, "
                f"tab, caption, nor two fields under 'image,caption': {shorten(', '.join(parts))}; "
                "for other tables use load_image_table."
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


def _flickr_rows(content, path):
    """Yield the number and the parts of each row: a name and a caption, if it is well formed."""
    if content.split("\n", 1)[0].rstrip() == "image,caption":
        try:
            yield from list(enumerate(records(content)))[1:]
        except ValueError as error:
            raise ValueError(
                f"{path} is not a table of two columns, {error}: correct the file."
            ) from error
        return
    for row, line in enumerate(content.split("\n")):
        if line.strip() and not (row == 0 and line.startswith("image_name|")):
            match = FLICKR_LINE.fullmatch(line.rstrip())
            yield row, [part for part in match.groups() if part is not None] if match else [line]


def load_karpathy(folder, captions, *, split="train", on_missing="raise"):
    """Load one of the splits of COCO, Flickr8k or Flickr30k by Karpathy and Fei-Fei.

    Each row is a pair of a picture and one caption; the rows of a picture are adjacent.

    Parameters
    ----------
    folder : str or path-like
        The folder of the pictures; for COCO, the folder that contains ``train2014`` and
        ``val2014``.
    captions : str or path-like
        The file of captions and splits, such as ``dataset_coco.json``.
    split : str or list of str, default="train"
        The split or splits: ``"train"``, ``"val"``, ``"test"``, and for COCO ``"restval"``. Most
        papers train on ``["train", "restval"]``.
    on_missing : {"raise", "drop"}, default="raise"
        What to do with a row whose picture is not in the folder, or whose caption is missing: raise
        an error, or leave it out with a warning.

    Returns
    -------
    :class:`~sklearn.utils.Bunch`
        As in :func:`load_image_table`: ``frame``, ``group``, ``dropped``, ``DESCR``.

    Raises
    ------
    FileNotFoundError
        If the folder, the file or a picture is missing.
    ValueError
        If the file has another format, there is no such split, a picture is in two of them, or a
        path or link leads out of the folder.

    Notes
    -----
    In error messages, the row of a picture is its position in the list ``images`` of the file.

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
    with in_format_of(path, "Karpathy's splits"):
        known = dict.fromkeys(image["split"] for image in content["images"])
        _check_splits(content["images"], path)
        pairs = [
            (row, os.path.join(image.get("filepath", ""), image["filename"]), sentence["raw"])
            for row, image in enumerate(content["images"])
            if image["split"] in wanted
            for sentence in image["sentences"] or [{"raw": None}]  # a missing caption
        ]
    if not wanted or not all(one in list(known) for one in wanted):  # not all can be hashed
        raise ValueError(
            f"{path} has the splits {cut(', '.join(map(repr, known)))}, got "
            f"split={shorten(split)}: name one or a list of them."
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


def _check_splits(images, path):
    """Check that no picture is in two splits, under whatever spelling of its path."""
    splits = {}
    for image in images:
        name = posixpath.join(image.get("filepath", ""), image["filename"])
        name = unicodedata.normalize("NFC", posixpath.normpath(name))
        if splits.setdefault(name, image["split"]) != image["split"]:
            raise ValueError(
                f"{path} has {shorten(name)} in the splits {shorten(splits[name])} and "
                f"{shorten(image['split'])}: keep one, or training and test share a picture."
            )
