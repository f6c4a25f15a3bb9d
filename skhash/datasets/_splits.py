"""Draw queries and training pairs as papers on hashing do."""

import numpy as np

from .._inputs.seed import own_generator


def split_by_class(target, first, other, random_state):
    """Draw queries and training pairs from one class after another, out of what is left.

    Parameters
    ----------
    target : ndarray of shape (n_samples, n_classes)
        1 for the classes of each pair, 0 elsewhere.
    first : tuple of (int, int)
        Number of queries and of training pairs of the first class.
    other : tuple of (int, int)
        The same of each other class.
    random_state : int
        Seed.

    Returns
    -------
    dict of str to ndarray of int64
        Rows, ascending: ``"query"``; ``"train"``, filled up at random where a class ran short;
        ``"database"``, all but the queries; ``"all"``.
    """
    rng = own_generator(random_state)
    everything = np.arange(len(target))
    free = np.ones(len(target), dtype=bool)
    query, train, n_lacking = [], [], 0
    for label, members in enumerate(target.T == 1):
        n_query, n_train = first if label == 0 else other
        drawn = rng.permutation(everything[members & free])[: n_query + n_train]
        free[drawn] = False
        query.append(drawn[:n_query])
        train.append(drawn[n_query:])
        n_lacking += n_train - len(train[-1])
    train.append(rng.permutation(everything[free])[:n_lacking])
    queries = np.sort(np.concatenate(query))
    return {
        "query": queries,
        "train": np.sort(np.concatenate(train)),
        "database": np.setdiff1d(everything, queries),
        "all": everything,
    }
