"""The collections that benchmarks of quality measure on: one seed, one split.

Names that are known without files:

``wiki``
    Wiki's official features. The 2,173 training pairs are the database, the 693 test pairs the
    queries; an item is relevant if it has the query's category. Seeds change nothing.
``wiki-apart``
    The same queries. A random half of the training pairs is trained on, the other half is searched.
``digits``
    Handwritten digits of scikit-learn, 1,797 pictures of 8 by 8 pixels: the left half of a picture
    is its image block, the right half its text block. A random fifth are the queries, the others
    are trained on and searched; relevant is what shows the same digit.
``digits-apart``
    The same queries; half of the others is trained on, the other half is searched.
``clip-like``
    20,000 pairs of ``make_clip_features``: 5,000 to train on, 2,000 queries, 13,000 others as
    database; relevant is what shares a label.

A file of features, ``.npz``, is a collection or several, by the arrays that it holds:

``image``, ``text`` and ``y``
    As ``digits`` (and ``NAME-apart``); relevant is what has the query's class.
``image`` and ``text``
    Pairs. A random 3/4 are trained on, the others search each other, and only the other half of the
    pair is relevant.
``image`` and ``description`` (or ``words``), of str
    The same pairs, with bags of words as texts, learned from the training texts.
``image``, ``caption`` of str and ``picture``
    Captions, and the row of ``image`` that each belongs to. A random 3/4 of the pictures are
    trained on, the others are searched and search. Two collections: the first caption of each
    picture, and all captions, in groups: any of a picture's captions is relevant, and a picture is
    one item.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from skhash.datasets import fetch_wiki, make_clip_features
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
    train_labels : ndarray, default=None
        Labels of the training pairs, where there are any; only hashers that need them get them.
    groups : tuple of three ndarray, default=None
        Pictures that the rows of `train`, `queries` and `gallery` belong to, where a picture has
        several rows.
    """

    name: str
    n_image: int
    train: np.ndarray
    queries: np.ndarray
    gallery: np.ndarray
    labels: tuple = (None, None)
    train_labels: np.ndarray | None = None
    groups: tuple | None = None

    @property
    def has_shared_space(self):
        """Whether both blocks are equally wide, as those of one model."""
        return 2 * self.n_image == self.train.shape[1]


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
        wanted = name.removesuffix("-apart")
        found = KNOWN[wanted](seed) if wanted in KNOWN else from_file(Path(wanted), seed)
        for collection in found:
            yield apart(collection, seed) if wanted != name else collection


def apart(collection, seed):
    """Return the collection with half of its training pairs to train on, and the others to search.

    Parameters
    ----------
    collection : Collection
        One whose gallery is its training pairs.
    seed : int
        Seed of the halves.

    Returns
    -------
    Collection
        With the same queries.
    """
    if collection.gallery is not collection.train or collection.groups is not None:
        raise ValueError(f"{collection.name} does not search its training pairs.")
    rows = np.random.default_rng(seed).permutation(len(collection.train))
    train, gallery = np.array_split(rows, 2)
    of_queries, of_gallery = collection.labels
    return replace(
        collection,
        name=f"{collection.name}, apart",
        train=collection.train[train],
        gallery=collection.train[gallery],
        labels=(of_queries, of_gallery[gallery]),
        train_labels=of_gallery[train],
    )


def of_wiki(seed):
    train, test = fetch_wiki(subset="train"), fetch_wiki(subset="test")
    labels = test.target, train.target
    blocks = train.data, test.data, train.data
    yield Collection("Wiki", train.n_image_features, *blocks, labels, train.target)


def of_digits(seed):
    digits = load_digits()
    halves = digits.images[:, :, :4], digits.images[:, :, 4:]
    blocks = [half.reshape(len(half), -1) for half in halves]
    yield of_classes("digits", *blocks, digits.target, seed)


def of_clip_features(seed):
    pairs = make_clip_features(random_state=seed)
    train, queries, gallery = (
        pairs.data[rows] for rows in (pairs.train, pairs.query, pairs.database)
    )
    labels = pairs.target[pairs.query], pairs.target[pairs.database]
    blocks = train, queries, gallery
    of_train = pairs.target[pairs.train]
    yield Collection("CLIP-like", pairs.n_image_features, *blocks, labels, of_train)


def of_classes(name, image, text, y, seed):
    """Split classified pairs: a fifth are queries, the others are trained on and searched."""
    X, y = np.hstack([image, text]).astype(np.float32), np.asarray(y)
    rows = np.random.default_rng(seed).permutation(len(X))
    query, train = np.split(rows, [len(rows) // 5])
    features = X[train]
    labels = y[query], y[train]
    return Collection(name, image.shape[1], features, X[query], features, labels, y[train])


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


KNOWN = {"wiki": of_wiki, "digits": of_digits, "clip-like": of_clip_features}
