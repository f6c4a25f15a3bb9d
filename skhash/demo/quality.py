"""What the demo measures and draws."""

import time

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.utils import Bunch

from .. import metrics
from .._blocks import BLOCKS
from .choosing import say

SEEDS = (0, 1, 2)
MEASURED = ("train", "test", "gallery", "y_test", "y_gallery", "groups", "test_groups")


def compare(data, choice):
    """Print the scores of all hashers over seeds, and of random codes; return the one to use.

    Returns
    -------
    estimator
        The chosen hasher, fitted with the first seed.
    """
    fits = [(name, seed) for seed in SEEDS for name in choice.hashers]
    say(f"Training each hasher with {choice.n_bits} bits from {len(SEEDS)} seeds: {len(fits)} fits")
    tables = Bunch(**{name: data[name] for name in MEASURED})
    done = Parallel(n_jobs=2)(
        delayed(assess)(choice.hashers[name], seed, tables) for name, seed in fits
    )
    names = ["random codes", *choice.hashers]
    relevant, pairs = ({name: [] for name in names} for _ in range(2))
    seconds, used = dict.fromkeys(names, 0.0), None
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        codes = [rng.random((2, len(t), choice.n_bits)) < 0.5 for t in (data.gallery, data.test)]
        relevant["random codes"].append(measure(*codes, data))
        pairs["random codes"].append(find_pairs(codes[1], data))
    for (name, seed), (fitted, spent, scores, found) in zip(fits, done, strict=True):
        relevant[name].append(scores)
        pairs[name].append(found)
        seconds[name] += spent / len(SEEDS)
        if (name, seed) == (choice.name, SEEDS[0]):
            used = fitted
    n_bytes = dict.fromkeys(names, choice.n_bits // 8)
    if data.shared_space:
        tables = data.gallery.to_numpy(), data.test.to_numpy()
        n_features = tables[0].shape[1] // 2
        for name, change, size in (
            ("signs of the features", lambda values: values > 0, n_features // 8),
            ("features, by cosine", lambda values: values, 4 * n_features),
        ):
            codes = [np.split(change(table), 2, axis=1) for table in tables]
            relevant[name], pairs[name] = [measure(*codes, data)], [find_pairs(codes[1], data)]
            n_bytes[name] = size
    heads = ("I->T", "T->I", "I->T @50", "T->I @50")
    print_rows("mean average precision", heads, relevant, n_bytes, seconds, choice.name)
    learned, n_queries = data.gallery is data.train, len(data.test)
    database = f"the {len(data.train)} training pairs" if learned else "the held-out pairs"
    queries = f"{n_queries} other pairs" if learned else f"the same {n_queries}"
    print(f"""
  Database: {database}; queries: {queries}.
  Relevant: what {data.relevant}. Mean ± standard deviation over seeds; * is used below.
  Ties count in expectation; @50 cuts there and divides by the hits (normalize="hits").""")
    if not data.shared_space:
        print("  Images and texts have different features here, so their signs are not compared.")
    means = {name: np.mean(relevant[name], axis=0)[:2].mean() for name in choice.hashers}
    ahead, spread = max(means, key=means.get), np.std(relevant[choice.name], axis=0)[:2].max()
    if means[ahead] > means[choice.name] + 2 * spread:
        if data.gallery is data.test:  # what is relevant is the pair, as in the choice
            why = "other pairs decided, and few pairs cannot tell\n  close scores apart"
        else:
            why = "what finds the other half of a pair best need not\n  find most of its class"
        print(f"  By these scores {ahead} is ahead: {why}. The choice stands.")
    heads = ("I->T R@1", "I->T R@10", "T->I R@1", "T->I R@10")
    print_rows("finds the other half", heads, pairs, n_bytes, {}, choice.name)
    print(f"""
  R@k: the other half of a pair is among the k nearest of the {n_queries} test pairs; ties count in
  expectation. Bytes: of one item.""")
    if data.shared_space:
        cosine = "features, by cosine"
        real, kept = (np.mean(pairs[n], axis=0)[1::2].mean() for n in (cosine, choice.name))
        factor = n_bytes[cosine] // n_bytes[choice.name]
        kept = f"{kept / real:.0%} of the features' R@10 at 1/{factor} of the bytes"
        print(f"  {choice.name} keeps {kept}.")
    return used


def assess(hasher, seed, data):
    """Fit a hasher from a seed; return it, its CPU seconds and both kinds of scores."""
    started = time.process_time()
    fitted = clone(hasher).set_params(random_state=seed).fit(data.train, groups=data.groups)
    seconds = time.process_time() - started
    codes = [encode(fitted, table) for table in (data.gallery, data.test)]
    return fitted, seconds, measure(*codes, data), find_pairs(codes[1], data)


def print_rows(title, heads, rows, n_bytes, seconds, used):
    """Print means and standard deviations over seeds, a row for each kind of codes."""
    print(f"\n  {title:<26}" + "".join(f"{h:>14}" for h in heads) + f"{'bytes':>7}", end="")
    print(f"{'CPU s':>8}" if seconds else "")
    for name, scores in rows.items():
        cells = zip(np.mean(scores, axis=0), np.std(scores, axis=0), strict=True)
        several = len(scores) > 1
        cells = [
            f"{mean:.3f} ± {std:.3f}" if several else f"{mean:.3f}        " for mean, std in cells
        ]
        time_ = f"{seconds[name]:>8.2f}" if seconds.get(name) else ""
        mark = f"{name}*" if name == used else name
        print(f"  {mark:<26}" + "".join(f"{c:>14}" for c in cells) + f"{n_bytes[name]:>7}{time_}")


def find_pairs(codes, data):
    """Query the test pairs with each other: how often the other half is found, both ways."""
    image, text = codes
    both = (image, text), (text, image)
    ids = (data.test_groups,) * 2
    return np.ravel([metrics.hit_rate_at_k(*sides, *ids, k=(1, 10)) for sides in both])


def measure(gallery_codes, test_codes, data):
    """Query the gallery with the test pairs: mAP over all ranks and at 50, both ways."""
    (image, text), (query_image, query_text) = gallery_codes, test_codes
    return [
        metrics.mean_average_precision(queries, gallery, data.y_test, data.y_gallery, k=k)
        for k in (None, 50)
        for queries, gallery in ((query_image, text), (query_text, image))
    ]


def encode(hasher, table):
    """Return image codes and text codes of pairs."""
    return np.split(hasher.transform(table), 2, axis=1)


def draw(hasher, data, path, plt):
    """Draw three text queries with their pictures, and three picture queries with their texts."""
    gallery, queries = (
        dict(zip(BLOCKS, encode(hasher, table), strict=True)) for table in (data.gallery, data.test)
    )
    figure, axes = plt.subplots(6, 6, figsize=(12, 12.5), layout="constrained")
    for lines, query, found in ((axes[:3], "text", "image"), (axes[3:], "image", "text")):
        metrics.RetrievalDisplay.from_codes(
            queries[query],
            gallery[found],
            data.shown_test[query],
            data.shown_gallery[found],
            data.y_test,
            data.y_gallery,
            n_queries=3,
            n_neighbors=5,
            ax=lines,
        )
    figure.suptitle(f"Nearest codes of the other modality (blue: {data.relevant})", fontsize=13)
    figure.savefig(path, dpi=72)
    plt.close(figure)
