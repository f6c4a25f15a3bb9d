"""The collections that quality benchmarks use; each seed gives one split.

Built-in names:

``wiki``
    Wiki's official features. The 2,173 training pairs are the database, the 693 test pairs the
    queries; an item is relevant if it has the query's category. The split does not depend on the
    seed.
``wiki-apart``
    The same queries. A random half of the training pairs is used for training, the other half is
    the database.
``digits``
    Handwritten digits of scikit-learn, 1,797 pictures of 8 by 8 pixels: the left half of a picture
    is its image block, the right half its text block. A random fifth are the queries; the others
    are both training pairs and database. An item is relevant if it shows the same digit.
``digits-apart``
    The same queries; half of the other pairs is used for training, the other half is the database.
``clip-like``
    20,000 pairs of ``make_clip_features``: 5,000 for training, 2,000 as queries, and 13,000 as
    database; an item is relevant if it shares a label. ``clip-like=12000`` draws 12,000 pairs and
    divides them in the same proportions.
``mirflickr25k=FILE``, ``nuswide=FILE`` and ``mscoco=FILE``
    The official files, which ``skhash.datasets`` finds, with image features from a file of yours:
    ``.npy``, or ``.npz`` with an array ``image``, one row per pair in the order of the official
    files. For example, features of CLIP:
    ``np.save(FILE, CLIPFeaturizer().transform(fetch_nuswide(subset="all").image))``.
    Without a file, ``mscoco`` uses the CNN-F features in the official file. Queries and training
    pairs are the seeded draw of the loaders, and the database contains all pairs but the queries.
    An item is relevant if it shares a label.
``mirflickr25k-apart=FILE``, ``nuswide-apart=FILE`` and ``mscoco-apart=FILE``
    The same, without the training pairs in the database.

An ``.npz`` file of features is one collection or several, depending on its arrays:

``image``, ``text`` and ``y``
    Split like ``digits`` (and ``NAME-apart``); an item is relevant if it has the query's class.
``image`` and ``text``
    Pairs. A random 3/4 are used for training. The images and texts of the others search each other,
    and only the other half of the pair is relevant.
``image`` and ``description`` (or ``words``), of str
    The same pairs, with texts as bags of words; the vocabulary is learned from the training texts.
``image``, ``caption`` of str and ``picture``
    ``picture`` is the row of ``image`` to which a caption belongs. A random 3/4 of the pictures are
    used for training; the others are queries and database. There are two collections: one with the
    first caption of each picture, and one with all captions, in groups. There, any caption of a
    picture is relevant, and a picture is one item.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from skhash.datasets import (
    fetch_mirflickr25k,
    fetch_mscoco,
    fetch_nuswide,
    fetch_wiki,
    make_clip_features,
)
from skhash.features import BoWTextFeaturizer


@dataclass(frozen=True)
class Collection:
    """Pairs to train on, queries, and a gallery to search.

    Parameters
    ----------
    name : str
        Name of the collection.
    n_image : int
        Width of the image block.
    train, queries, gallery : ndarray of shape (n, n_image + n_text), float32
        Features of pairs, image block first.
    labels : tuple of two ndarray, default=(None, None)
        Labels of the queries and of the gallery, or None twice: the other half is relevant.
    groups : tuple of three ndarray, default=None
        Pictures that the rows of `train`, `queries` and `gallery` belong to, where a picture has
        several rows.
    y : ndarray, default=None
        Labels of the training pairs, for methods that learn from labels.
    trained : ndarray of shape (n_gallery,), bool, default=None
        The rows of `gallery` that are training pairs, where only some are.
    """

    name: str
    n_image: int
    train: np.ndarray
    queries: np.ndarray
    gallery: np.ndarray
    labels: tuple = (None, None)
    groups: tuple | None = None
    y: np.ndarray | None = None
    trained: np.ndarray | None = None

    @property
    def has_shared_space(self):
        """Whether both blocks are equally wide, as those of one model."""
        return 2 * self.n_image == self.train.shape[1]

    @property
    def counts_pairs(self):
        """Whether the other half of a pair is relevant, and not what has the same label."""
        return self.labels[0] is None or self.groups is not None

    @property
    def protocol(self):
        """What the queries search."""
        if self.counts_pairs:
            return "test pairs"
        searches_training_pairs = self.gallery is self.train or self.trained is not None
        return "database trained on" if searches_training_pairs else "database apart"


def collect(names, seed):
    """Yield the collections of names and files, in their order.

    Parameters
    ----------
    names : list of (str or Path)
        Names from this module's docstring, or paths of ``.npz`` files; ``PATH-apart`` is the second
        protocol of a file with classes.
    seed : int
        Seed of splits and of drawn pairs.

    Yields
    ------
    Collection
        One at a time, since some are large.
    """
    for name in map(str, names):
        start, _, value = name.partition("=")
        known = start if start.removesuffix("-apart") in {*OFFICIAL, "clip-like"} else name
        wanted = known.removesuffix("-apart")
        if wanted in OFFICIAL:
            found = of_official(wanted, value, seed)
        elif wanted == "clip-like":
            found = of_clip_features(int(value or 20_000), seed)
        else:
            found = KNOWN[wanted](seed) if wanted in KNOWN else from_file(Path(wanted), seed)
        for collection in found:
            yield apart(collection, seed) if wanted != known else collection


def apart(collection, seed):
    """Return the collection with a gallery that was not trained on.

    Where the gallery is the training pairs, a random half of them is trained on and the other half
    is searched; where training pairs are a part of the gallery, they are taken out of it.

    Parameters
    ----------
    collection : Collection
        One whose gallery is its training pairs, or holds them.
    seed : int
        Seed of the halves.

    Returns
    -------
    Collection
        With the same queries.
    """
    name = f"{collection.name}, apart"
    of_queries, of_gallery = collection.labels
    if (trained := collection.trained) is not None:
        gallery, labels = collection.gallery[~trained], (of_queries, of_gallery[~trained])
        return replace(collection, name=name, gallery=gallery, labels=labels, trained=None)
    if collection.gallery is not collection.train or collection.groups is not None:
        raise ValueError(f"{collection.name} does not search its training pairs.")
    rows = np.random.default_rng(seed).permutation(len(collection.train))
    train, gallery = np.array_split(rows, 2)
    return replace(
        collection,
        name=name,
        train=collection.train[train],
        gallery=collection.train[gallery],
        labels=(of_queries, of_gallery[gallery]),
        y=of_gallery[train],
    )


def of_wiki(seed):
    train, test = fetch_wiki(subset="train"), fetch_wiki(subset="test")
    labels = test.target, train.target
    features = train.data
    yield Collection(
        "Wiki", train.n_image_features, features, test.data, features, labels, y=train.target
    )


def of_digits(seed):
    digits = load_digits()
    halves = digits.images[:, :, :4], digits.images[:, :, 4:]
    blocks = [half.reshape(len(half), -1) for half in halves]
    yield of_classes("digits", *blocks, digits.target, seed)


def of_clip_features(n_pairs, seed):
    pairs = make_clip_features(n_pairs, random_state=seed)
    train, queries, gallery = (
        pairs.data[rows] for rows in (pairs.train, pairs.query, pairs.database)
    )
    labels = pairs.target[pairs.query], pairs.target[pairs.database]
    y, n_image = pairs.target[pairs.train], pairs.n_image_features
    name = "CLIP-like" if n_pairs == 20_000 else f"CLIP-like, {n_pairs:,} pairs"
    yield Collection(name, n_image, train, queries, gallery, labels, y=y)


def of_official(name, features, seed):
    """Read official files, and image features from a file."""
    title, fetch = OFFICIAL[name]
    options = {"random_state": seed}
    if not features and name == "mscoco":
        title, options["image"] = f"{title}, CNN-F", "cnn-f"
    elif not features:
        raise ValueError(f"{name} has no image features: give {name}=FILE, a .npy or .npz file.")
    parts = {part: fetch(subset=part, **options) for part in ("train", "query", "database")}
    image = image_features(features, 1 + max(part.row.max() for part in parts.values()))
    blocks = {
        name: np.hstack([part.image if image is None else image[part.row], part.text])
        for name, part in parts.items()
    }
    train, query, database = (parts[part] for part in ("train", "query", "database"))
    yield Collection(
        title,
        blocks["train"].shape[1] - train.text.shape[1],
        *(blocks[part].astype(np.float32, copy=False) for part in ("train", "query", "database")),
        (query.target, database.target),
        y=train.target,
        trained=np.isin(database.row, train.row),
    )


def image_features(path, n_pairs):
    """Return the image features of a file, or None where none is named."""
    if not path:
        return None
    found = np.load(path, mmap_mode="r")
    image = found if isinstance(found, np.ndarray) else found["image"]
    if image.ndim != 2 or len(image) != n_pairs:
        raise ValueError(
            f"{path} holds an array of shape {image.shape}: give the features of all {n_pairs} "
            "pairs, in the order of the official files."
        )
    return image


def of_classes(name, image, text, y, seed):
    """Split classified pairs: a fifth are queries, the others are trained on and searched."""
    X, y = np.hstack([image, text]).astype(np.float32), np.asarray(y)
    rows = np.random.default_rng(seed).permutation(len(X))
    query, train = np.split(rows, [len(rows) // 5])
    features, labels = X[train], (y[query], y[train])
    return Collection(name, image.shape[1], features, X[query], features, labels, y=y[train])


def from_file(path, seed):
    """Yield the collections of a file of features."""
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    image = arrays["image"]
    if "y" in arrays:
        yield of_classes(path.stem, image, arrays["text"], arrays["y"], seed)
        return
    # A quarter is for testing, of pairs or of pictures with all their captions.
    test, train = np.split(np.random.default_rng(seed).permutation(len(image)), [len(image) // 4])
    if "text" in arrays:
        yield of_pairs(f"{path.stem}, CLIP + CLIP", image, arrays["text"], train, test)
    for words in {"description", "words"} & arrays.keys():
        text = bags(arrays[words], train)
        yield of_pairs(f"{path.stem}, CLIP + words", image, text, train, test)
    if "caption" in arrays:
        captions, picture = arrays["caption"], arrays["picture"]
        first = np.unique(picture, return_index=True)[1]
        text = bags(captions[first], train)
        yield of_pairs(f"{path.stem}, a caption", image, text, train, test)
        yield of_captions(f"{path.stem}, all captions", image, captions, picture, train, test)


def of_pairs(name, image, text, train, test):
    X = np.hstack([image, text]).astype(np.float32)
    return Collection(name, image.shape[1], X[train], X[test], X[test])


def of_captions(name, image, captions, picture, train, test):
    of_train, of_test = (np.flatnonzero(np.isin(picture, rows)) for rows in (train, test))
    X = np.hstack([image[picture], bags(captions, of_train)]).astype(np.float32)
    trained, tested = picture[of_train], picture[of_test]
    queries = X[of_test]
    return Collection(
        name,
        image.shape[1],
        X[of_train],
        queries,
        queries,
        (tested, tested),
        groups=(trained, tested, tested),
    )


def bags(words, train):
    """Return bags of words of all texts, with the vocabulary of the training texts."""
    words = np.asarray(words)
    bag = BoWTextFeaturizer(sparse_output=False).fit(list(words[train]))
    return bag.transform(list(words))


KNOWN = {"wiki": of_wiki, "digits": of_digits}
OFFICIAL = {
    "mirflickr25k": ("MIRFlickr-25K", fetch_mirflickr25k),
    "nuswide": ("NUS-WIDE", fetch_nuswide),
    "mscoco": ("MS COCO", fetch_mscoco),
}
