"""Drawn features that resemble those of CLIP for images, beside tags, with labels."""

import numpy as np
from scipy import sparse
from sklearn.utils import Bunch, gen_batches

from .._blocks import block_names
from .._inputs.checks import check_flag, check_integer
from .._inputs.seed import draw_seed

BLOCK = 1024  # pairs that are drawn at a time, each block from a generator of its own
STRUCTURE_SEED = 20  # of topics, labels and tags, which are the same in every call

# What the collection is like. The values were set so that it has the statistics in `DESCR`.
N_TOPICS, N_THEMES = 384, 8
TOPIC_DECAY = 0.5  # weight of a topic, by rank: (rank + 2)^-TOPIC_DECAY
OTHER_TOPICS = 0.2, 0.05  # largest weights of the second and third topic; the first has 1
SAME_THEME = 0.9  # share of second and third topics that are of the first one's theme
LABEL_DECAY = 1.13
LABELS_OF_TOPIC = 0.9, 0.6, 0.2  # how often each of its labels applies
LABELS_OF_THEME = 0.65, 0.33
LABEL_GAIN = 1.06  # compensates for labels of the second and third topic
N_OTHER_LABELS = 0.3  # labels a pair, at most, that no topic explains
N_DRAWN_TAGS = 10.2  # draws a pair; a tag that is drawn twice counts once
TAG_SHAPE = 1.5  # of the negative binomial distribution of the draws
TAG_DECAY, TAG_DECAY_OF_TOPIC = 0.75, 1.65
TAGS_OF_TOPIC = 0.985  # share of the tags that topics explain
POPULAR = 0.8  # how far popular tags are preferred among those of a topic
SPECTRUM_DECAY, CONTENT_DECAY = 0.58, 0.48  # of standard deviations along the principal axes
THEME_SHARE = 0.22  # share of the theme in the variance of topics
# Parts of an image feature, as root mean square lengths.
MEAN, TOPICAL, TAGGED, PRIVATE = 1.2, 0.75, 0.25, 0.97

DESCR = """\
CLIP-like features: drawn pairs of an image vector and a bag of tags, with labels
=================================================================================

Features as they come from an image encoder of CLIP, beside the tags of the images, drawn from a
model of topics. A pair has one to three topics. They determine which labels and which tags are
likely, and a part of the image; another part of the image is what its tags show, and the rest is
its own.

:Pairs: {n_samples:,}: {n_train:,} to train on, {n_query:,} queries, {n_database:,} database
:Image: {n_features:,} values, unit vectors
:Text: {n_tags:,} tags, 0 or 1
:Labels: {n_labels}, several a pair

With the default sizes, two images have a cosine of .50 on the mean, with a standard deviation of
.07. A pair has 5.5 tags on the mean, at least one, and few tags are common: their frequencies fall
like a power of their rank. It has 2.9 labels on the mean, at least one. Two pairs share a label
with probability .53, which is about what codes that say nothing score as mean average precision.

Of the 50 nearest of 13,000 images, by their cosine, .78 share a label with the query; of the 50
nearest bags of tags, .77. Codes of 32 bits from canonical correlation analysis and iterative
quantization, learned from 5,000 pairs, have a mean average precision over all ranks of .59 in both
directions. Neither is a result on photographs.
"""


def make_clip_features(
    n_samples=20_000,
    *,
    n_features=512,
    n_tags=1386,
    n_labels=24,
    sparse_output=False,
    random_state=None,
):
    r"""Draw image vectors like those of CLIP, sparse tags and labels.

    The collection can have any size, and needs no download and no weights. It has typical
    properties of photographs with tags: image vectors have similar directions, the frequencies of
    tags have a long tail, and labels are correlated.

    Parameters
    ----------
    n_samples : int, default=20_000
        Number of pairs.
    n_features : int, default=512
        Width of the image block.
    n_tags : int, default=1386
        Number of tags, which are the text features.
    n_labels : int, default=24
        Number of labels.
    sparse_output : bool, default=False
        Whether ``data`` is a CSR matrix. The image block is dense, so this saves little memory.
    random_state : int, RandomState instance, Generator or None, default=None
        Seed of the pairs. With an int, each call gives the same pairs, and a smaller `n_samples`
        gives the first of them. The topics and their vectors do not depend on the seed: different
        seeds draw different pairs of the same collection.

    Returns
    -------
    :class:`~sklearn.utils.Bunch`
        With the attributes

        data : ndarray or CSR matrix of shape (n_samples, n_features + n_tags), float32
            The features of both modalities, image block first, as hashers accept them.
        image : ndarray of shape (n_samples, n_features), float32
            Image vectors of unit length; a view of ``data`` if that is dense.
        text : CSR matrix of shape (n_samples, n_tags), float32
            1 for the tags of each pair; no row is empty.
        n_image_features : int
            Width of the image block.
        target : ndarray of shape (n_samples, n_labels), uint8
            1 for the labels of each pair, 0 elsewhere.
        target_names : list of str of length n_labels
            ``"label0"``, ``"label1"``, ...
        feature_names : list of str
            ``"image__0"``, ..., then ``"text__tag0"``, ...
        query, train, database : ndarray of int64
            Disjoint row numbers of queries (a tenth), training pairs (a quarter) and the database
            (all others).
        DESCR : str
            Description of the data set.

    Raises
    ------
    TypeError
        If one of the four sizes is not an integer, or `sparse_output` is not a flag.
    ValueError
        If one of the sizes is too small.

    Notes
    -----
    The model is this library's own. A pair has topics :math:`t` with weights :math:`w_t` that sum
    to 1, and each topic belongs to one of 8 themes. Tags are drawn from :math:`\sum_t w_t p_t`,
    where :math:`p_t` decreases as a power of the rank of a tag, in an order that depends on the
    topic. The probability of each label is a function of :math:`\sum_t w_t l_t`. With fixed vectors
    :math:`m`, :math:`d_t` and :math:`e_j`, a set of tags :math:`J`, and noise :math:`\varepsilon`
    with a decreasing spectrum, the image is

    .. math::

        x = \frac{z}{\lVert z \rVert}, \qquad
        z = m + a \sum_t w_t d_t + \frac{b}{\sqrt{|J|}} \sum_{j \in J} e_j + c\, \varepsilon.

    The constants were set so that, with the default sizes, pairs have the statistics and the
    difficulty given in ``DESCR``. Time is linear in `n_samples`. Pairs are drawn in blocks, so
    little memory is needed in addition to the result, which takes about 8 kB for each pair.

    Examples
    --------
    >>> from skhash.datasets import make_clip_features
    >>> pairs = make_clip_features(1000, random_state=0)
    >>> pairs.image.shape, pairs.text.shape, pairs.target.shape
    ((1000, 512), (1000, 1386), (1000, 24))
    >>> pairs.query.size, pairs.train.size, pairs.database.size
    (100, 250, 650)
    >>> from skhash.hashing import CCAHasher
    >>> hasher = CCAHasher(32, n_image_features=pairs.n_image_features, random_state=0)
    >>> hasher.fit(pairs.data[pairs.train]).encode_image(pairs.image[pairs.query]).shape
    (100, 32)
    """
    n_samples = check_integer(n_samples, "n_samples")
    n_features = check_integer(n_features, "n_features")
    n_tags = check_integer(n_tags, "n_tags")
    n_labels = check_integer(n_labels, "n_labels")
    check_flag(sparse_output, "sparse_output")
    seed = draw_seed(random_state)
    collection = _Collection(n_features, n_tags, n_labels)
    width = n_features if sparse_output else n_features + n_tags
    data: np.ndarray | sparse.csr_matrix = np.zeros((n_samples, width), dtype=np.float32)
    image, texts = data[:, :n_features], []
    target = np.empty((n_samples, n_labels), dtype=np.uint8)
    for number, rows in enumerate(gen_batches(n_samples, BLOCK)):
        rng = np.random.default_rng([seed, number])
        # Whole blocks are drawn, so that the pairs do not depend on how many are wanted.
        drawn = collection.draw(BLOCK, rng)
        image[rows], text, target[rows] = (part[: rows.stop - rows.start] for part in drawn)
        texts.append(text)
        if not sparse_output:
            data[rows, n_features:] = text.toarray()
    text = sparse.vstack(texts, format="csr")
    n_query, n_train = n_samples // 10, n_samples // 4
    query, train, database = np.split(np.arange(n_samples), [n_query, n_query + n_train])
    return Bunch(
        data=_join(image, text) if sparse_output else data,
        image=image,
        text=text,
        n_image_features=n_features,
        target=target,
        target_names=[f"label{label}" for label in range(n_labels)],
        feature_names=[
            *block_names("image", range(n_features)),
            *block_names("text", [f"tag{tag}" for tag in range(n_tags)]),
        ],
        query=query,
        train=train,
        database=database,
        DESCR=DESCR.format(
            **{"n_samples": n_samples, "n_features": n_features, "n_tags": n_tags},
            **{"n_labels": n_labels, "n_train": n_train, "n_query": n_query},
            n_database=database.size,
        ),
    )


class _Collection:
    """What all pairs have in common: topics, with their labels, tags and looks."""

    def __init__(self, n_features, n_tags, n_labels):
        rng = np.random.RandomState(STRUCTURE_SEED)
        self.weights = np.cumsum(_falling(N_TOPICS, 2, TOPIC_DECAY))
        theme = np.arange(N_TOPICS) % N_THEMES
        self._set_labels(theme, n_labels, rng)
        self._set_tags(theme, n_tags, rng)
        self._set_looks(theme, n_features, n_tags, rng)

    def _set_labels(self, theme, n_labels, rng):
        popularity = _falling(n_labels, 1, LABEL_DECAY)
        flatter = popularity**0.7 / np.sum(popularity**0.7)

        def pick(rates, chances):
            found = np.zeros(n_labels)
            n_picked = min(len(rates), n_labels)
            labels = rng.choice(n_labels, n_picked, replace=False, p=chances)
            found[labels] = rates[:n_picked]
            return found

        of_theme = np.stack([pick(LABELS_OF_THEME, popularity) for _ in range(N_THEMES)])
        of_topic = np.stack([pick(LABELS_OF_TOPIC, flatter) for _ in range(N_TOPICS)])
        self.labels = np.maximum(of_topic, of_theme[theme])
        self.first_label = self.labels.argmax(axis=1)
        self.other_labels = N_OTHER_LABELS * popularity

    def _set_tags(self, theme, n_tags, rng):
        """Set the cumulative frequencies of tags, topic t from t to t + 1, in one row."""
        overall = _falling(n_tags, 8, TAG_DECAY)
        own = _falling(n_tags, 1, TAG_DECAY_OF_TOPIC)
        of_theme = rng.gumbel(size=(N_THEMES, n_tags)) + POPULAR * np.log(overall)
        ends = np.empty((N_TOPICS, n_tags))
        for topic in range(N_TOPICS):
            order = np.argsort(of_theme[theme[topic]] + rng.gumbel(size=n_tags))[::-1]
            chances = (1 - TAGS_OF_TOPIC) * overall
            chances[order] += TAGS_OF_TOPIC * own
            ends[topic] = topic + np.cumsum(chances) / chances.sum()
        self.n_tags, self.tag_ends = n_tags, ends.ravel()

    def _set_looks(self, theme, n_features, n_tags, rng):
        axes = np.linalg.qr(rng.normal(size=(n_features, n_features)))[0]
        content, noise = (
            np.sqrt(_falling(n_features, 4, 2 * decay))[:, None] * axes
            for decay in (CONTENT_DECAY, SPECTRUM_DECAY)
        )
        of_theme = rng.normal(size=(N_THEMES, n_features)) @ content
        own = rng.normal(size=(N_TOPICS, n_features)) @ content
        topics = np.sqrt(THEME_SHARE) * of_theme[theme] + np.sqrt(1 - THEME_SHARE) * own
        topics -= np.diff(self.weights, prepend=0) @ topics
        tags = rng.normal(size=(n_tags, n_features)) @ content
        mean = rng.normal(size=n_features)
        self.topics, self.tags, self.noise, self.mean = (
            part.astype(np.float32)
            for part in (
                TOPICAL * topics,
                TAGGED * tags,
                PRIVATE * noise,
                MEAN * mean / np.linalg.norm(mean),
            )
        )

    def draw(self, n, rng):
        """Draw images (n, n_features), CSR texts (n, n_tags) and labels (n, n_labels)."""
        topics = np.searchsorted(self.weights[:-1], rng.random((n, 3)))
        related = topics[:, :1] % N_THEMES + N_THEMES * rng.integers(
            N_TOPICS // N_THEMES, size=(n, 2)
        )
        topics[:, 1:] = np.where(rng.random((n, 2)) < SAME_THEME, related, topics[:, 1:])
        weights = np.hstack([np.ones((n, 1)), rng.random((n, 2)) * OTHER_TOPICS])
        weights /= weights.sum(axis=1, keepdims=True)
        rows = np.repeat(np.arange(n), 3)
        mixture = _csr(weights.ravel(), rows, topics.ravel(), (n, N_TOPICS))
        text = self._draw_tags(topics, weights, rng)
        labels = self._draw_labels(mixture, topics[:, 0], rng)
        image = self.mean + mixture @ self.topics
        image += (text @ self.tags) / np.sqrt(np.diff(text.indptr))[:, None].astype(np.float32)
        image += rng.standard_normal((n, len(self.mean)), dtype=np.float32) @ self.noise
        image /= np.linalg.norm(image, axis=1, keepdims=True)
        return image, text, labels

    def _draw_tags(self, topics, weights, rng):
        n = len(topics)
        more = N_DRAWN_TAGS - 1
        n_drawn = 1 + rng.negative_binomial(TAG_SHAPE, TAG_SHAPE / (TAG_SHAPE + more), size=n)
        rows = np.repeat(np.arange(n), n_drawn)
        which = (rng.random(rows.size)[:, None] > np.cumsum(weights, axis=1)[rows, :2]).sum(axis=1)
        topic = topics[rows, which]
        places = np.searchsorted(self.tag_ends, topic + rng.random(rows.size), side="right")
        tags = np.clip(places - topic * self.n_tags, 0, self.n_tags - 1)
        text = _csr(np.ones(rows.size), rows, tags, (n, self.n_tags))
        text.data[:] = 1
        return text

    def _draw_labels(self, mixture, first_topic, rng):
        explained = np.minimum(LABEL_GAIN * (mixture @ self.labels), 0.98)
        chances = 1 - (1 - explained) * (1 - self.other_labels)
        labels = rng.random(chances.shape) < chances
        none = np.flatnonzero(~labels.any(axis=1))
        labels[none, self.first_label[first_topic[none]]] = True
        return labels


def _falling(size, offset, decay):
    """Return weights that fall like a power of the rank and sum to 1."""
    weights = (np.arange(size) + float(offset)) ** -decay
    return weights / weights.sum()


def _csr(values, rows, columns, shape):
    """Return a CSR matrix in which entries of one place are added up."""
    return sparse.csr_matrix((values.astype(np.float32), (rows, columns)), shape=shape)


def _join(image, text):
    """Return dense images and CSR texts side by side, as a CSR matrix, with no copy between."""
    n, width = image.shape
    before = np.arange(n + 1) * width  # image entries before each row
    indptr = text.indptr + before
    values = np.empty(indptr[-1], dtype=np.float32)
    kind = np.int32 if indptr[-1] <= np.iinfo(np.int32).max else np.int64
    columns = np.empty(indptr[-1], dtype=kind)
    for rows in gen_batches(n, BLOCK):
        of_image = indptr[rows][:, None] + np.arange(width)
        values[of_image], columns[of_image] = image[rows], np.arange(width)
        entries = slice(text.indptr[rows.start], text.indptr[rows.stop])
        n_tags = np.diff(text.indptr[rows.start : rows.stop + 1])
        of_text = np.arange(entries.start, entries.stop) + np.repeat(before[rows] + width, n_tags)
        values[of_text] = text.data[entries]
        columns[of_text] = width + text.indices[entries]
    shape = (n, width + text.shape[1])
    return sparse.csr_matrix((values, columns, indptr.astype(kind)), shape=shape)
