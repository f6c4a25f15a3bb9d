"""MIRFlickr-25K, NUS-WIDE and MS COCO, from the files that papers on hashing share."""

import numpy as np
from numpy.lib.format import open_memmap
from sklearn.utils import Bunch

from .._inputs.checks import check_choice, check_integer
from .._inputs.seed import LAST_SEED, own_generator
from ._download import fetch_files
from ._mat import official, open_pictures, pick_rows, read_matrix, read_numbers
from ._splits import split_by_class

SUBSETS = ("train", "query", "database", "all")

# Queries and training pairs of the first class, then of each other class.
MIRFLICKR_COUNTS = (160, 400), (80, 200)
NUSWIDE_COUNTS = (200, 500), (200, 500)
N_COCO_TRAIN = 10_000

DESCR = """\
{title}
{line}

:Pairs: {n_pairs:,} here, subset {subset!r}, of {n_all:,} in the files
:Image: {image}
:Text: {n_words:,} values, a bag of words
:Classes: {n_classes}, several a pair; the files do not name them

{protocol}
The authors' own draw is not published, so report the mean and the spread over several seeds.
What shares a class with the query is relevant.

Source: {source}
"""


def fetch_mirflickr25k(*, data_home=None, subset="train", random_state=0):
    """Load MIRFlickr-25K from local files: pictures, bags of 1,386 tags, 24 classes.

    Nothing is downloaded. The files ``mirflickr25k-iall.mat``, ``mirflickr25k-yall.mat`` and
    ``mirflickr25k-lall.mat``, which papers on hashing share, are looked for in the same folders as
    by :func:`fetch_wiki`, and in their subfolders ``mirflickr25k``.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder to look in first. ``None`` means ``~/skhash_data``.
    subset : {"train", "query", "database", "all"}, default="train"
        The pairs to load: training pairs, queries, the database (which includes the training
        pairs), or all pairs.
    random_state : int, default=0
        Seed of the split. Subsets with the same seed belong to the same split.

    Returns
    -------
    :class:`~sklearn.utils.Bunch`
        With the attributes

        image : sequence of ndarray of shape (height, width, 3), uint8
            The pictures. Each is read from the file when it is accessed; a slice does not read any.
            Featurizers have a few in memory at a time, :func:`~skhash.make_table` all of them.
        text : ndarray of shape (n_samples, 1386), float32
            The bags of tags.
        target : ndarray of shape (n_samples, 24), uint8
            1 for the classes of each pair, 0 elsewhere.
        row : ndarray of shape (n_samples,), int64
            Row numbers of the pairs in the files, in ascending order.
        DESCR : str
            Description of the data set.

    Raises
    ------
    ImportError
        If h5py (extra ``hdf5``) is not installed.
    FileNotFoundError
        If the files are missing.
    TypeError
        If `random_state` is not an integer.
    ValueError
        If `subset` is unknown, or a file is not in the official format.

    Notes
    -----
    160 queries and 400 training pairs are drawn from the first class, then 80 and 200 of the
    remaining pairs from each other class. If a class has too few pairs, training pairs are added
    from the database until there are 5,000. The database is all pairs but the queries.

    References
    ----------
    M. J. Huiskes and M. S. Lew, "The MIR Flickr Retrieval Evaluation", ACM MIR 2008.

    Examples
    --------
    >>> from skhash.datasets import fetch_mirflickr25k
    >>> train = fetch_mirflickr25k()  # doctest: +SKIP
    >>> train.text.shape, train.image[0].shape  # doctest: +SKIP
    ((5000, 1386), (224, 224, 3))
    """
    _check(subset, random_state)
    return _fetch_by_class(
        "mirflickr25k",
        "mirflickr25k",
        (1386, 24),
        MIRFLICKR_COUNTS,
        data_home=data_home,
        subset=subset,
        random_state=random_state,
        title="MIRFlickr-25K",
        protocol="Split by a seeded draw: 160 queries and 400 training pairs of the first class, "
        "80 and 200\nof each other class, the training pairs filled up to 5,000; the database is "
        "all but the queries.",
        source='M. J. Huiskes and M. S. Lew, "The MIR Flickr Retrieval Evaluation", ACM MIR 2008.',
    )


def fetch_nuswide(*, data_home=None, subset="train", random_state=0):
    """Load NUS-WIDE, ten concepts, from local files: pictures, bags of 1,000 tags, 10 classes.

    Nothing is downloaded. The files ``nus-wide-tc10-iall.mat``, ``nus-wide-tc10-yall.mat`` and
    ``nus-wide-tc10-lall.mat``, which papers on hashing share, are looked for in the same folders as
    by :func:`fetch_wiki`, and in their subfolders ``nuswide``.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder to look in first. ``None`` means ``~/skhash_data``.
    subset : {"train", "query", "database", "all"}, default="train"
        The pairs to load, as in :func:`fetch_mirflickr25k`.
    random_state : int, default=0
        Seed of the split. Subsets with the same seed belong to the same split.

    Returns
    -------
    :class:`~sklearn.utils.Bunch`
        As in :func:`fetch_mirflickr25k`, with ``text`` of shape (n_samples, 1000) and ``target`` of
        shape (n_samples, 10).

    Raises
    ------
    ImportError
        If h5py (extra ``hdf5``) is not installed.
    FileNotFoundError
        If the files are missing.
    TypeError
        If `random_state` is not an integer.
    ValueError
        If `subset` is unknown, or a file is not in the official format.

    Notes
    -----
    From each class in turn, 200 queries and 500 training pairs are drawn among the remaining pairs.
    The database is all pairs but the queries.

    References
    ----------
    T.-S. Chua, J. Tang, R. Hong, H. Li, Z. Luo and Y. Zheng, "NUS-WIDE: A Real-World Web Image
    Database from National University of Singapore", ACM CIVR 2009.

    Examples
    --------
    >>> from skhash.datasets import fetch_nuswide
    >>> fetch_nuswide(subset="query").target.shape  # doctest: +SKIP
    (2000, 10)
    """
    _check(subset, random_state)
    return _fetch_by_class(
        "nuswide",
        "nus-wide-tc10",
        (1000, 10),
        NUSWIDE_COUNTS,
        data_home=data_home,
        subset=subset,
        random_state=random_state,
        title="NUS-WIDE, ten concepts",
        protocol="Split by a seeded draw: 200 queries and 500 training pairs of each class; the "
        "database is all\nbut the queries.",
        source='T.-S. Chua, J. Tang, R. Hong, H. Li, Z. Luo and Y. Zheng, "NUS-WIDE: A Real-World '
        'Web Image\nDatabase from National University of Singapore", ACM CIVR 2009.',
    )


def fetch_mscoco(*, data_home=None, subset="train", image="pixels", random_state=0):
    """Load MS COCO from local files: pictures or their features, bags of 2,000 words, 80 classes.

    Nothing is downloaded. The files ``COCO.mat`` and ``COCO_BoW.npy``, which papers on hashing
    share, are looked for in the same folders as by :func:`fetch_wiki`, and in their subfolders
    ``mscoco``. For COCO's own files see :func:`load_coco_captions`.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder to look in first. ``None`` means ``~/skhash_data``.
    subset : {"train", "query", "database", "all"}, default="train"
        The pairs to load, as in :func:`fetch_mirflickr25k`.
    image : {"pixels", "cnn-f"}, default="pixels"
        The pictures themselves, or the 4,096 features of a CNN-F network that the file contains.
    random_state : int, default=0
        Seed for drawing the training pairs; the queries are those of the file.

    Returns
    -------
    :class:`~sklearn.utils.Bunch`
        As in :func:`fetch_mirflickr25k`, with ``text`` of shape (n_samples, 2000) and ``target`` of
        shape (n_samples, 80); ``image`` may be an ndarray of shape (n_samples, 4096), float32.

    Raises
    ------
    ImportError
        If h5py (extra ``hdf5``) is not installed.
    FileNotFoundError
        If the files are missing.
    TypeError
        If `random_state` is not an integer.
    ValueError
        If `subset` or `image` is unknown, or a file is not in the official format.

    Notes
    -----
    Queries and database are those of the file; 10,000 training pairs are drawn from the database.

    References
    ----------
    T.-Y. Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014.

    Examples
    --------
    >>> from skhash.datasets import fetch_mscoco
    >>> fetch_mscoco(image="cnn-f").image.shape  # doctest: +SKIP
    (10000, 4096)
    """
    _check(subset, random_state)
    check_choice(image, "image", ("pixels", "cnn-f"))
    folder = fetch_files("mscoco", ["COCO.mat", "COCO_BoW.npy"], url=None, data_home=data_home)
    path, bow = folder / "COCO.mat", folder / "COCO_BoW.npy"
    target = _read_target(path, 80)
    query, database = (
        read_numbers(path, f"param/index{name}", len(target)) for name in ("Query", "Database")
    )
    drawn = own_generator(random_state).permutation(database)[:N_COCO_TRAIN]
    rows = {"query": query, "database": database, "train": np.sort(drawn)}
    row = np.arange(len(target)) if subset == "all" else rows[subset]
    with official(bow):
        words = open_memmap(bow, mode="r")  # neither pickles nor archives, which np.load takes
        text = pick_rows(words, "the bag of words", (len(target), 2000), row)
    if image == "pixels":
        images = open_pictures(path, "IAll", len(target), row)
    else:
        images = read_matrix(path, "XAll", (len(target), 4096), row)
    return _bunch(
        images,
        text,
        target,
        row,
        subset=subset,
        title="MS COCO",
        protocol="Queries and database are those of the file; 10,000 training pairs are a seeded "
        "draw from the\ndatabase.",
        source='T.-Y. Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014.',
    )


def _check(subset, random_state):
    check_choice(subset, "subset", SUBSETS)
    # A generator would give another split at each call, so that queries would be trained on.
    check_integer(random_state, "random_state", 0, LAST_SEED)


def _fetch_by_class(name, prefix, widths, counts, *, data_home, subset, random_state, **words):
    files = [f"{prefix}-{variable}all.mat" for variable in "iyl"]
    folder = fetch_files(name, files, url=None, data_home=data_home)
    images, texts, labels = (folder / file for file in files)
    target = _read_target(labels, widths[1])
    first, other = counts
    row = split_by_class(target, first, other, random_state)[subset]
    text = read_matrix(texts, "YAll", (len(target), widths[0]), row)
    pictures = open_pictures(images, "IAll", len(target), row)
    return _bunch(pictures, text, target, row, subset=subset, **words)


def _read_target(path, n_classes):
    target = read_matrix(path, "LAll", (None, n_classes))
    with official(path):
        if not np.isin(target, (0, 1)).all():
            raise ValueError("LAll holds other values than 0 and 1")
    return target.astype(np.uint8)


def _bunch(image, text, target, row, *, subset, title, protocol, source):
    is_matrix = isinstance(image, np.ndarray)
    descr = DESCR.format(
        title=title,
        line="=" * len(title),
        n_pairs=len(row),
        subset=subset,
        n_all=len(target),
        image="4,096 features of a CNN-F network" if is_matrix else "pictures, read when asked for",
        n_words=text.shape[1],
        n_classes=target.shape[1],
        protocol=protocol,
        source=source,
    )
    return Bunch(image=image, text=text, target=target[row], row=row, DESCR=descr)
