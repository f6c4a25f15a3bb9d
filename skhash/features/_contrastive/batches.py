"""Which rows share a batch: random ones, or neighbours as hard negatives.

Losses compare each row with the others of its batch, so the batches are a part of the method. No
batch holds two rows of one group, and no row comes twice in an epoch. Draws come from a NumPy
generator; ``numpy.random.default_rng([seed, round, epoch])`` makes each epoch reproducible on its
own.
"""

from dataclasses import replace
from typing import Any, cast

import numpy as np
from sklearn.cluster import MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning

from ..._inputs.checks import check_choice
from ..._inputs.messages import warn


def deal(groups, batching, rng, labels=None):
    """Deal the batches of an epoch: at random, or with neighbours where there are clusters."""
    if labels is None:
        return random_batches(groups, batching.batch_size, rng)
    return clustered_batches(
        labels, groups, batching.batch_size, batching.group_size, batching.hard_fraction, rng
    )


def at_most_all_groups(batching, groups, n_parts=1):
    """Lower the size of a batch to the number of groups, of which it holds one row each.

    Parameters
    ----------
    batching : Batching
        Which rows share a batch.
    groups : ndarray of shape (n_rows,)
        Group id of each row.
    n_parts : int, default=1
        Number of processes that share a batch, of which its size stays a multiple.

    Returns
    -------
    Batching
        The same, or with the smaller size.

    Raises
    ------
    ValueError
        If there are too few groups for a batch.
    """
    n_groups = len(np.unique(groups))
    if n_groups < max(2, n_parts):
        raise ValueError(
            f"training needs rows of {max(2, n_parts)} groups at least, got {len(groups)} rows of "
            f"{n_groups}: rows of one group are not negatives of each other."
        )
    size = min(batching.batch_size, n_groups // n_parts * n_parts)
    return replace(batching, batch_size=size)


def warn_of_few(batching, groups, *, clustered):
    """Warn where batches are smaller than `batch_size`, or too few to be made of clusters."""
    n_rows, n_groups = len(groups), len(np.unique(groups))
    given = f"batch_size={batching.batch_size}"
    if n_groups < batching.batch_size:
        what = "rows" if n_rows == n_groups else "groups of rows"
        means = (
            "each epoch is one batch of all rows"
            if n_rows == n_groups
            else "a batch holds one row of each group"
        )
        warn(f"{given} is more than the {n_groups} {what}: {means}.")
    elif clustered and n_rows < 2 * batching.batch_size:
        warn(
            f"clustered rounds need two batches at least, got {n_rows} rows for {given}: their "
            "batches are random; lower batch_size, or give more rows."
        )


def random_batches(groups, batch_size, rng):
    """Deal rows at random into as many batches of equal size as there can be.

    Rows are left out, others each epoch, where they fill no batch: fewer than `batch_size` of them
    if no group has more rows than there are batches, else also what large groups have beyond that.

    Parameters
    ----------
    groups : ndarray of shape (n_rows,)
        Group id of each row; ``numpy.arange(n_rows)`` where no rows belong together.
    batch_size : int
        Number of rows in a batch, at least 2.
    rng : numpy.random.Generator
        Source of all draws.

    Returns
    -------
    ndarray of shape (n_batches, batch_size), int64
        Indices of rows. The number of batches depends on `groups` and `batch_size` alone.

    Raises
    ------
    ValueError
        If there are fewer groups than a batch has rows.
    """
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    n_batches = _most_batches(sizes, batch_size).max()
    return _deal(group, n_batches, batch_size, rng)


def clustered_batches(labels, groups, batch_size, group_size, hard_fraction, rng):
    """Deal rows into batches of equal size, in part neighbours of one cluster.

    A batch begins with ``floor(hard_fraction * batch_size / group_size)`` runs of `group_size` rows
    of one cluster each, which are hard negatives of each other; the rest is random. Runs are fewer,
    alike in all batches, where clusters are too small to give as many.

    To keep rows of a group apart, rows are first dealt at random into hands without two of a group,
    such as one caption of each image, and each hand makes batches of its own. Hands are as few, and
    so as large, as leaves at least 9 in 10 of the batches that `random_batches` makes; what fills
    no batch of a hand is left out, other rows each epoch.

    Similar pairs share a batch in GRIT-VLP (Byun et al., ECCV 2022), and clusters are computed anew
    for each episode in ProtoCLIP (Chen et al., TNNLS 2023); runs beside random rows and the hands
    are ours.

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), int
        Cluster of each row.
    groups : ndarray of shape (n_rows,)
        Group id of each row; ``numpy.arange(n_rows)`` where no rows belong together.
    batch_size : int
        Number of rows in a batch, at least 2.
    group_size : int
        Number of neighbours in a run.
    hard_fraction : float
        Share of a batch that comes in runs, in [0, 1].
    rng : numpy.random.Generator
        Source of all draws.

    Returns
    -------
    ndarray of shape (n_batches, batch_size), int64
        Indices of rows, runs first. The number of batches depends on `groups` and `batch_size`
        alone.

    Raises
    ------
    ValueError
        If there are fewer groups than a batch has rows.
    """
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    n_batches = _most_batches(sizes, batch_size)
    n_hands = 1 + int(np.argmax(n_batches >= 0.9 * n_batches.max()))
    each = n_batches[n_hands - 1] // n_hands
    n_runs = round(hard_fraction * batch_size) // group_size
    hands = _deal(group, n_hands, _usable(sizes, n_hands)[-1] // n_hands, rng)
    return np.concatenate(
        [_cut(hand, labels[hand], each, batch_size, n_runs, group_size, rng) for hand in hands]
    )


def _usable(sizes, n_hands):
    """Count the rows that can be dealt to 1, 2, ..., n_hands hands without two of a group in one.

    At most as many of a group as there are hands: the count of groups of at least 1 row, plus that
    of groups of at least 2, and so on.
    """
    smaller = np.cumsum(np.bincount(sizes, minlength=n_hands))[:n_hands]
    return np.cumsum(len(sizes) - smaller)


def _most_batches(sizes, batch_size):
    """Count the batches that can be had from 1, 2, ... hands, as many from each hand.

    No other way gives more than the largest count, since batches are hands, too.
    """
    if batch_size < 2:
        raise ValueError(
            f"batch_size must be at least 2, got {batch_size}: a row alone has no negatives."
        )
    if len(sizes) < batch_size:
        raise ValueError(
            f"batch_size={batch_size} needs rows of as many groups, got {sizes.sum()} rows of "
            f"{len(sizes)} groups: lower batch_size, or give more rows."
        )
    n_hands = np.arange(1, sizes.sum() // batch_size + 1)
    return _usable(sizes, len(n_hands)) // (n_hands * batch_size) * n_hands


def _shuffled_by(ids, rng):
    """Sort rows by id, at random within one, and count each row's place among those of its id."""
    order = rng.permutation(len(ids))
    order = order[np.argsort(ids[order], kind="stable")]
    sizes = np.bincount(ids)
    start = np.cumsum(sizes) - sizes
    return order, np.arange(len(ids)) - start[ids[order]]


def _deal(group, n_hands, hand_size, rng):
    """Deal rows to hands of equal size, never two of a group to one; (n_hands, hand_size).

    Rows are laid out group by group, at most `n_hands` of each, and cut into trays of `n_hands`
    rows, one for each hand. A tray is dealt around the table in random order, so that rows of a
    group within it part. Where a group goes on in the next tray, its rows on either side of the cut
    are dealt in one go, and the next tray begins with the hand after them: being at most `n_hands`,
    they do not come round to a hand twice.
    """
    group = rng.permutation(group.max() + 1)[group]
    order, place = _shuffled_by(group, rng)
    order = order[place < n_hands]
    trays = order[: n_hands * hand_size].reshape(hand_size, n_hands)

    member = group[trays]
    goes_on = (member[:-1, -1] == member[1:, 0])[:, None]
    last = np.zeros(trays.shape, dtype=bool)
    last[:-1] = goes_on & (member[:-1] == member[:-1, -1:])
    first = np.zeros(trays.shape, dtype=bool)
    first[1:] = goes_on & (member[1:] == member[1:, :1])

    draws = rng.random(trays.shape)
    pause = rng.random((hand_size, 1))  # when the last of a tray are dealt, and the next begins
    draws[first] = -1
    draws = np.where(last, pause, draws)
    dealt = np.take_along_axis(trays, np.argsort(draws, axis=1, kind="stable"), axis=1)
    turns = (draws <= pause).sum(axis=1)
    begin = np.cumsum(turns) - turns
    hands = np.empty((n_hands, hand_size), dtype=np.int64)
    to = (begin[:, None] + np.arange(n_hands)) % n_hands
    hands[to, np.arange(hand_size)[:, None]] = dealt
    return hands


def _cut(hand, labels, n_batches, batch_size, n_runs, group_size, rng):
    """Cut rows without two of a group into batches, each of runs of one cluster and random rows."""
    order, place = _shuffled_by(labels, rng)
    sizes = np.bincount(labels)
    whole = place < (sizes // group_size * group_size)[labels[order]]
    runs = rng.permutation(order[whole].reshape(-1, group_size))
    n_runs = min(n_runs, len(runs) // n_batches)
    runs = runs[: n_batches * n_runs].reshape(n_batches, -1)
    free = np.ones(len(hand), dtype=bool)
    free[runs] = False
    rest = rng.permutation(np.flatnonzero(free))[: n_batches * batch_size - runs.size]
    return hand[np.hstack([runs, rest.reshape(n_batches, -1)])]


def cluster(image, text, batch_size, rng, *, on="joint", n_clusters=None):
    r"""Cluster rows by their features, so that neighbours can be each other's hard negatives.

    Mini-batch k-means of :math:`z = [v, u] / \sqrt 2`, or of :math:`v` or :math:`u` alone, where
    :math:`v` and :math:`u` are the features of image and text (Zhu & Li, PRMVIA 2023, name
    clustered hard negatives; ProtoCLIP, Chen et al., TNNLS 2023, clusters either modality; the
    joint form and the number of clusters are inferred).

    Parameters
    ----------
    image, text : ndarray of shape (n_rows, n_features)
        The features, rows of unit length.
    batch_size : int
        Number of rows in a batch.
    rng : numpy.random.Generator
        Source of the seed.
    on : {"joint", "image", "text"}, default="joint"
        What to cluster.
    n_clusters : int, default=None
        Number of clusters; by default as many as batches, ``n_rows // batch_size``.

    Returns
    -------
    labels : ndarray of shape (n_rows,), int64, or None
        Cluster of each row; None, with a warning, where one cluster dominates: its size is nearer
        to all rows than to an even share, and neighbours in it are no harder than random rows.
    sizes : ndarray of shape (n_clusters,), int64
        Number of rows in each cluster.

    Raises
    ------
    ValueError
        If there are fewer rows than two batches, or no more rows than clusters.

    Warns
    -----
    ConvergenceWarning
        If one cluster dominates.
    """
    check_choice(on, "cluster_on", ("joint", "image", "text"))
    n_rows = len(image)
    if n_rows < 2 * batch_size:
        raise ValueError(
            f"clusters need two batches at least, got {n_rows} rows for batch_size={batch_size}: "
            "lower batch_size, or give more rows."
        )
    n_clusters = n_rows // batch_size if n_clusters is None else n_clusters
    if not 2 <= n_clusters < n_rows:
        raise ValueError(
            f"n_clusters must be at least 2 and less than the {n_rows} rows, got {n_clusters}."
        )
    if on == "joint":
        z = np.hstack([image, text]) / np.sqrt(2, dtype=np.float32)
    else:
        z = image if on == "image" else text
    kmeans: Any = MiniBatchKMeans(
        n_clusters, batch_size=4096, n_init=cast(Any, 1), random_state=int(rng.integers(2**31))
    )
    labels = kmeans.fit_predict(z).astype(np.int64)
    sizes = np.bincount(labels, minlength=n_clusters)
    if sizes.max() / n_rows > (1 + 1 / n_clusters) / 2:
        warn(
            f"one of {n_clusters} clusters holds {sizes.max()} of {n_rows} rows: this round's "
            "batches are random; train longer before clustering, or change n_clusters.",
            ConvergenceWarning,
        )
        return None, sizes
    return labels, sizes
