"""Pictures and captions in tar shards."""

import json
import os
from pathlib import Path

import numpy as np

from .._blocks import make_table
from .._inputs.cells import lone_surrogate
from .._inputs.checks import check_flag, check_real
from .._inputs.messages import DROPPED_ROWS, cut, shorten, warn
from ._image_table import TEXT_COLUMNS
from ._pairs import check_on_missing, describe, existing_file, is_missing, warn_dropped
from ._shards import read_shard


def load_webdataset(
    shards, *, text_field=None, labels=False, on_missing="raise", max_expansion=100
):
    """Load pictures and captions from tar shards, as WebDataset and img2dataset write them.

    Members with the same name, up to the first dot, are a sample: a picture, and its caption in a
    ``.txt`` or ``.json`` file. Nothing is unpacked to disk. The pictures are kept in memory, as the
    bytes of their files, so load only as many shards as fit into memory.

    Parameters
    ----------
    shards : str, path-like or list of them
        A tar file, a folder of files that end in ``.tar``, or a list of tar files.
    text_field : str or None, default=None
        Field of the ``.json`` file that contains the caption, or a list of captions. ``None`` means
        the ``.txt`` file if there is one, else the field that is called ``text``, ``caption(s)``,
        ``sentence(s)``, ``description`` or ``comment``.
    labels : bool, default=False
        Whether to read the classes, which are integers in the ``.cls`` file of each sample.
    on_missing : {"raise", "drop"}, default="raise"
        What to do with a sample without a picture, a caption or, with `labels`, a class: raise an
        error, or leave it out with a warning.
    max_expansion : float, default=100
        Largest size of the unpacked content of a shard, as a multiple of the size of its file. It
        protects against compressed shards and sparse members that would fill the memory. Contents
        of up to 64 MiB are always accepted. ``np.inf`` means no limit.

    Returns
    -------
    :class:`~sklearn.utils.Bunch`
        With the attributes

        frame : pandas.DataFrame of shape (n_rows, 2)
            The column ``image`` contains bytes, and the column ``text`` captions.
        group : ndarray of shape (n_rows,), int64
            Number of the picture, the same for equal files. Rows of one group must not be split
            between training and test.
        key : ndarray of shape (n_rows,), object
            Name of the sample in its shard.
        target : ndarray of shape (n_rows,), int64
            The class, as it is in the file. Only with `labels`.
        dropped : list of str
            Shards and names of samples that were left out.
        DESCR : str
            Description of the data set.

    Raises
    ------
    FileNotFoundError
        If there is no shard.
    ValueError
        If a shard is not a complete tar file, is given twice or is too large when unpacked, a
        sample is incomplete or has two pictures, or a caption or class cannot be read.

    See Also
    --------
    load_image_table : A folder of pictures and a table of captions.

    Notes
    -----
    As in WebDataset, the name of a sample ends at the first dot of its file name, and the rest is
    the name of a field: ``22.05.jpg`` is the field ``05.jpg`` of the sample ``22``. Other fields
    than those above are ignored if the sample is complete without them. If files of a sample have a
    dot in their names, such as ``22.05.jpg`` and ``22.05.txt``, the sample has neither picture nor
    caption: rename the files. Links are not followed, and their samples count as incomplete.
    Members without a suffix, with a leading dot, or called ``__name__`` are ignored.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import tarfile
    >>> from skhash.datasets import load_webdataset
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with tarfile.open(Path(folder, "0.tar"), "w") as shard:
    ...         for name, content in {"7.jpg": b"pixels", "7.txt": b"two dogs"}.items():
    ...             _ = Path(folder, name).write_bytes(content)
    ...             shard.add(Path(folder, name), name)
    ...     load_webdataset(folder).frame.loc[0].tolist()
    [b'pixels', 'two dogs']
    """
    check_on_missing(on_missing)
    check_flag(labels, "labels")
    check_real(max_expansion, "max_expansion", "[1, inf]")
    kinds = {"image", "txt", "json"} | ({"cls"} if labels else set())
    rows, dropped, pictures, n_samples, n_blank = [], [], {}, 0, 0
    for path in _paths(shards):
        for key, (members, others) in read_shard(path, kinds, max_expansion).items():
            sample = f"sample {cut(key, 100)} of {path}"
            n_samples += 1
            given = _captions(members, text_field, sample)
            texts = [text for text in given if not is_missing(text)]
            is_blank = len(texts) < len(given) and (not texts or on_missing == "raise")
            label = _label(members["cls"], sample) if "cls" in members else None
            there = {
                "picture": "image" in members,
                "caption": texts and not is_blank,
                "class": "cls" in members or not labels,
            }
            lacking = [part for part, found in there.items() if not found]
            if not lacking:
                # The same file in two samples is one picture, of which a split takes all captions.
                image = members["image"]
                group = pictures.setdefault(image, len(pictures))
                rows += [(image, text, group, key, label) for text in texts]
                n_blank += len(given) - len(texts)
            elif on_missing == "drop":
                dropped.append(f"{path}: {key}")
            else:
                got = cut(", ".join([*sorted(members), *others]))
                remedy = "write it" if is_blank else _remedy(lacking, others)
                raise ValueError(
                    f"{sample} has no {lacking[0]}, got {got}: {remedy}, or set on_missing='drop'."
                )
    if not rows:
        raise ValueError(f"{shards} holds no sample of a picture and a caption: name other shards.")
    wanted = "a picture, a caption or a class" if labels else "a picture or a caption"
    warn_dropped(dropped, f"{len(dropped)} of {n_samples} samples lack {wanted}")
    if n_blank:
        message = f"{n_blank} blank captions of samples with other captions were dropped."
        warn(message, about=DROPPED_ROWS)
    images, texts, group, keys, target = zip(*rows, strict=True)
    bunch = describe(make_table(list(images), list(texts)), group, dropped, "Pairs of tar shards")
    bunch.key = np.array(keys, dtype=object)
    if labels:
        bunch.target = np.array(target, dtype=np.int64)
    return bunch


def _remedy(lacking, others):
    if any("." in name.partition(".")[2] for name in others):
        return "the name of a sample ends at its first dot, so rename members with a second one"
    return "set labels=False" if lacking == ["class"] else "name text_field"


def _paths(shards):
    if isinstance(shards, (list, tuple)):
        paths = [existing_file(path) for path in shards]
    elif not isinstance(shards, (str, os.PathLike)) or not Path(shards).expanduser().is_dir():
        paths = [existing_file(shards)]
    else:
        paths = sorted(Path(shards).expanduser().glob("*.tar"))
        if not paths:
            raise FileNotFoundError(f"there is no .tar in the folder {shards}: name the shards.")
    known = {}
    for path in paths:
        other = known.setdefault(os.path.realpath(path), path)
        if other is not path:
            # Its pictures would be in two groups, one of which a split may train on.
            raise ValueError(f"{other} and {path} are one shard: name it once.")
    return paths


def _label(content, sample):
    """Return the class of a sample."""
    try:
        return np.int64(int(content))
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"the cls of {sample} is not an integer, got {shorten(content)}: correct it, or set "
            "labels=False."
        ) from error


def _captions(members, field, sample):
    """Return the captions of a sample, none where it has none."""
    try:
        if field is None and "txt" in members:
            return [members["txt"].decode("utf-8-sig")]
        content = json.loads(members["json"]) if "json" in members else {}
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"the caption of {sample} cannot be decoded ({cut(error)}): correct it."
        ) from error
    if not isinstance(content, dict):
        raise ValueError(
            f"the json of {sample} is not an object, got {shorten(content)}: correct it."
        )
    wanted = TEXT_COLUMNS if field is None else (field,)
    found = [value for name, value in content.items() if name in wanted and value is not None]
    if len(found) > 1:
        raise ValueError(f"the json of {sample} has several fields of captions: set text_field.")
    texts = found[0] if found and isinstance(found[0], list) else found
    if not all(isinstance(text, str) or is_missing(text) for text in texts):
        raise ValueError(
            f"the captions of {sample} are not texts, got {shorten(texts)}: correct them."
        )
    if any(isinstance(text, str) and lone_surrogate(text) is not None for text in texts):
        raise ValueError(
            f"a caption of {sample} contains a lone surrogate, half of a character: correct it."
        )
    return texts
