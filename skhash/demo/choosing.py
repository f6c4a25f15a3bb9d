"""The demo's choice of a hasher: a grid search on pairs, without labels."""

import numpy as np
from sklearn.model_selection import GridSearchCV, check_cv
from sklearn.pipeline import Pipeline
from sklearn.utils import Bunch

from .. import hashing, metrics, retrieval

N_BITS = [16, 32, 64]
RIDGES = {"hash__ridge": [0.1, 1.0]}


def grid(data):
    """Return the hashers to compare as a grid of steps, with a parameter or two of each."""
    n_learned = min(len(rows) for rows, _ in check_cv(data.cv).split(data.train))
    network = hashing.CFRHHasher(batch_size=min(128, n_learned))
    candidates = [  # the slowest first, so that no process is left with them at the end
        ([hashing.ConsensusHasher()], {}),
        ([network], {"hash__reconstruction_weight": [0.1, 1.0]}),
        ([hashing.CCAHasher(), *(hashing.ITQHasher(space=s) for s in ("image", "text"))], RIDGES),
    ]
    if data.shared_space:
        candidates.append(([hashing.ITQHasher(space="shared")], {}))
    return [
        {
            "hash": [hasher.set_params(random_state=0) for hasher in hashers],
            "hash__n_bits": N_BITS,
            **others,
        }
        for hashers, others in candidates
    ]


def name_of(hasher):
    """Name a hasher as the tables do."""
    name = type(hasher).__name__.removesuffix("Hasher")
    if name == "ITQ":
        shared = hasher.space == "shared"
        return "ITQ, shared space" if shared else f"ridge + ITQ, {hasher.space} space"
    return {"CCA": "CCA + ITQ"}.get(name, name)


def choose(data, plt, path):
    """Choose a hasher, its length and its parameters by how well held-out pairs are found.

    Returns
    -------
    Bunch
        The ``name`` of the best hasher, its length ``n_bits``, and ``hashers``: by name, each
        hasher of that length with the parameters that served it best.
    """
    parts = grid(data)
    n_splits = check_cv(data.cv).get_n_splits()
    n_candidates = sum(np.prod([len(values) for values in part.values()]) for part in parts)
    say(f"Choosing a hasher and its length: {n_candidates * n_splits} fits on pairs alone")
    search = GridSearchCV(
        Pipeline([("hash", hashing.CCAHasher())]),
        parts,
        scoring=retrieval.HammingRetriever().as_scorer(),
        cv=data.cv,
        n_jobs=2,
        verbose=2,
        refit=False,
    )
    own = {} if data.groups is None else {"hash__groups": data.groups}
    search.fit(data.train, data.groups, **own)
    random = score_random_codes(data)
    display = metrics.HasherSearchDisplay.from_search(search, names=name_of, chance_level=random)
    display.figure_.savefig(path, dpi=100)
    plt.close(display.figure_)
    points = display.to_frame()
    print_points(points, random, n_splits)
    name, n_bits = points.loc[points["chosen"], ["hasher", "n_bits"]].to_numpy()[0]
    print(f"""
  mAP of finding the other half of {"held-out pairs" if n_splits == 1 else "the pairs of a fold"}; \
* marks the best. In a picture: {path}
  {name} found the other half best on held-out pairs and is used below, with {n_bits:.0f} bits.
  No label had a part in this choice.""")
    hashers = {}
    for point, row in points.iterrows():
        if row["n_bits"] == n_bits:
            params = search.cv_results_["params"][display.candidates[point]]
            pipeline = Pipeline([("hash", hashing.CCAHasher())]).set_params(**params)
            hashers[row["hasher"]] = pipeline["hash"]
    return Bunch(name=name, n_bits=int(n_bits), hashers=hashers)


def score_random_codes(data):
    """Return the mAP of random codes in the folds of the search, both ways."""
    rng, scores = np.random.default_rng(0), []
    for _, rows in check_cv(data.cv).split(data.train):
        ids = (None if data.groups is None else data.groups[rows],) * 2
        codes = rng.random((2, len(rows), max(N_BITS))) < 0.5
        scores += [metrics.mean_average_precision(*sides, *ids) for sides in (codes, codes[::-1])]
    return np.mean(scores)


def print_points(points, random, n_splits):
    """Print a row for each hasher, a column for each length."""
    print(f"\n  {'finds the other half, mAP':<26}", end="")
    print("".join(f"{f'{n} bits':>15}" for n in N_BITS) + f"{'seconds to fit':>15}")
    cell = f"{random:.3f}" + " " * (9 if n_splits > 1 else 1)
    print(f"  {'random codes':<26}" + f"{cell:>15}" * len(N_BITS))
    for name, rows in points.groupby("hasher", sort=False):
        cells = ""
        for n_bits in N_BITS:
            [row] = rows[rows["n_bits"] == n_bits].to_dict("records") or [None]
            spread = f" ± {row['std']:.3f}" if row and n_splits > 1 else ""
            cell = f"{row['score']:.3f}{spread}{'*' if row['chosen'] else ' '}" if row else "-"
            cells += f"{cell:>15}"
        print(f"  {name:<26}{cells}{rows['seconds'].mean():>15.2f}")


def say(text):
    """Announce a step."""
    print(f"\n== {text}", flush=True)
