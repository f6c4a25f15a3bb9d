"""Shared code of the quality benchmarks: scores in both directions, and reference methods.

Every table has rows for the reference methods: random codes and linear methods. The ridge of the
linear methods is selected for each training set by 3-fold cross-validation, by how well held-out
training pairs find their other half (``score``). Neither labels nor test pairs are used.
"""

import time

import numpy as np
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold
from sklearn.utils import get_tags

from skhash.hashing import CCAHasher, ITQHasher
from skhash.metrics import mean_average_precision

RIDGES = [0.01, 0.03, 0.1, 0.3, 1.0]
REFERENCES = {
    "CCA + ITQ": (CCAHasher, {}),
    "ridge + ITQ, image space": (ITQHasher, {"space": "image"}),
    "ridge + ITQ, text space": (ITQHasher, {"space": "text"}),
    "ITQ of the shared space": (ITQHasher, {"space": "shared"}),  # where the widths are equal
}


def both_directions(encode, collection, metric=mean_average_precision, **options):
    """Return a score of retrieval from images to texts, and from texts to images.

    Parameters
    ----------
    encode : callable
        Turns pairs into their codes, image codes first.
    collection : Collection
        Queries, gallery and labels. Where a picture has several rows, its image counts once.
    metric : callable, default=mean_average_precision
        A metric of :mod:`skhash.metrics`; mean average precision over all ranks by default.
    **options : object
        Other arguments of the metric.

    Returns
    -------
    list of two float
        The scores, ties in expectation.
    """
    codes = encode(collection.queries), encode(collection.gallery)
    return scores_of_codes(*codes, collection, metric, **options)


def scores_of_codes(queries, gallery, collection, metric=mean_average_precision, **options):
    """Return what `both_directions` returns, from the codes of the queries and of the gallery."""
    image, text = np.split(queries, 2, axis=1)
    image_gallery, text_gallery = np.split(gallery, 2, axis=1)
    of_queries, of_gallery = collection.labels
    first = [slice(None)] * 2
    if collection.groups is not None:
        first = [np.unique(ids, return_index=True)[1] for ids in collection.groups[1:]]
    images, images_gallery = (
        y if y is None else y[rows] for y, rows in zip((of_queries, of_gallery), first, strict=True)
    )
    return [
        metric(image[first[0]], text_gallery, images, of_gallery, **options),
        metric(text, image_gallery[first[1]], of_queries, images_gallery, **options),
    ]


def random_codes(n_bits, seed):
    """Return a function that draws codes of pairs at random."""
    rng = np.random.default_rng(seed)
    return lambda X: rng.random((len(X), 2 * n_bits)) < 0.5


def choose(hasher, collection, seed):
    """Return the hasher's ridge that held-out training pairs ask for, as a dict of parameters."""
    if "ridge" not in hasher.get_params() or hasher.get_params().get("space") == "shared":
        return {}
    groups = None if collection.groups is None else collection.groups[0]
    folds = KFold if groups is None else GroupKFold
    folds = folds(3, shuffle=True, random_state=seed)
    search = GridSearchCV(hasher, {"ridge": RIDGES}, cv=folds, refit=False)
    return search.fit(collection.train, groups, groups=groups).best_params_


def fit(hasher, collection):
    """Fit a hasher; return it with the seconds of the process's CPU time."""
    groups = {} if collection.groups is None else {"groups": collection.groups[0]}
    y = collection.y if get_tags(hasher).target_tags.required else None
    started = time.process_time()
    hasher.fit(collection.train, y, **groups)
    return hasher, time.process_time() - started


def applies(name, parameters, collection):
    """Say whether a method applies: a shared space needs blocks of equal width."""
    return parameters.get("space") != "shared" or collection.has_shared_space


def measure(make, parameters, n_bits, collection, seed, *, chosen=True):
    """Fit a hasher; return its scores in both directions, its seconds and the chosen parameters."""
    hasher = make(n_bits, n_image_features=collection.n_image, random_state=seed, **parameters)
    best = choose(hasher, collection, seed) if chosen else {}
    hasher, seconds = fit(hasher.set_params(**best), collection)
    return both_directions(hasher.transform, collection), seconds, best


def show(title, name, rows, note=""):
    """Print a row: means and standard deviations over seeds."""
    (to_text, to_image), (sd_text, sd_image) = np.mean(rows, axis=0), np.std(rows, axis=0)
    scores = f"{to_text:.3f} ± {sd_text:.3f}  {to_image:.3f} ± {sd_image:.3f}"
    print(f"{title:<30}{name:<34}{scores}  {note}", flush=True)


def show_methods(methods, n_bits, collections, *, chosen=True):
    """Print random codes, then a row a method, on the draws of one collection.

    Parameters
    ----------
    methods : dict of str to (class, dict)
        Hashers and their parameters.
    n_bits : int
        Length of a code.
    collections : list of Collection
        The collection for seeds 0, 1, ...
    chosen : bool, default=True
        Whether the ridge, where there is one, is chosen on training pairs.
    """
    title = f"{collections[0].name}, {n_bits} bits"
    rows = [both_directions(random_codes(n_bits, s), c) for s, c in enumerate(collections)]
    show(title, "random codes", rows)
    for name, (make, parameters) in methods.items():
        if not applies(make, parameters, collections[0]):
            continue
        found = [
            measure(make, parameters, n_bits, collection, seed, chosen=chosen)
            for seed, collection in enumerate(collections)
        ]
        ridges = [best["ridge"] for *_, best in found if best]
        note = f"{np.median([seconds for _, seconds, _ in found]):.2f} s"
        note += f", ridge {ridges}" if ridges else ""
        show(title, name, [scores for scores, *_ in found], note)
