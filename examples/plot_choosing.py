"""
Choose a hasher without labels
==============================

A grid search can choose the hasher and the number of bits. The hasher is a step of a pipeline, so
the search treats it like any other parameter. The score is how well held-out codes find *the other
half of their pair*, so no labels are needed.

The data are drawn scenes with two captions each. Pictures are represented by histograms of learned
patches, and captions by bags of words. The featurizers are fitted to 200 scenes that are not used
again, like a pretrained encoder.
"""

from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline, make_pipeline

from skhash.datasets import make_scenes
from skhash.features import BoWTextFeaturizer, CrossModalFeaturizer, PatchFeaturizer

scenes = make_scenes(700, n_captions=2, random_state=0)
pictures = make_pipeline(
    PatchFeaturizer(stride=2, random_state=0), PCA(64, whiten=True, random_state=0)
)
featurizer = CrossModalFeaturizer(image=pictures, text=BoWTextFeaturizer())
featurizer.fit(scenes.frame[:400])

pairs, group = featurizer.transform(scenes.frame[400:]), scenes.group[400:]
train, test = pairs[:600], pairs[600:]
image_ids = group[:600]
pairs.shape

# %%
# Search
# ------
# The parameter ``"hash"`` is the step itself, and its values are hashers. ``"hash__n_bits"`` is
# their code length. A list of grids allows parameters that only some hashers have, here ``ridge``.
#
# A picture has two captions, so it is in two rows. ``GroupKFold`` keeps both rows in one fold.
# Otherwise a hasher would be tested on pictures that it was trained on. The same ids as ``y`` make
# both captions of a picture relevant.

from sklearn.model_selection import GridSearchCV, GroupKFold

from skhash.hashing import CCAHasher, CFRHHasher, ConsensusHasher, FSHHasher, ITQHasher
from skhash.metrics import RetrievalScorer

n_bits = [16, 32, 64, 128]
with_ridge = [CCAHasher(), ITQHasher(space="image"), ITQHasher(space="text"), FSHHasher()]
network = CFRHHasher(hidden_units=256, max_iter=25)  # small, so that it trains fast

for hasher in (*with_ridge, network):
    hasher.set_params(random_state=0)

search = GridSearchCV(
    Pipeline([("hash", CCAHasher())]),
    [
        {"hash": with_ridge, "hash__n_bits": n_bits, "hash__ridge": [0.1, 1.0]},
        {"hash": [ConsensusHasher(random_state=0), network], "hash__n_bits": n_bits},
    ],
    scoring=RetrievalScorer(),  # mAP over all ranks, ties in expectation, mean of both directions
    cv=GroupKFold(3),
)
search.fit(train, image_ids, groups=image_ids)
search.best_params_

# %%
# Quality against bits and seconds
# --------------------------------
# Each point is the best candidate for a hasher and a code length. Error bars are standard
# deviations over the three folds, and the ring marks the candidate that the search chose. Random
# codes are shown for comparison. Their score is not 0, because they rank a relevant item early by
# chance.

import matplotlib.pyplot as plt
import numpy as np

from skhash.metrics import HasherSearchDisplay, mean_average_precision

rng = np.random.default_rng(0)
fold = image_ids[:200]
random_codes = rng.random((2, 200, 64)) < 0.5
chance = mean_average_precision(*random_codes, fold, fold)


def name(hasher):
    """Name the line that a hasher belongs to."""
    names = {"CCA": "CCA + ITQ", "ITQ": f"ridge + ITQ, {getattr(hasher, 'space', '')}"}
    short = type(hasher).__name__.removesuffix("Hasher")
    return names.get(short, short)


display = HasherSearchDisplay.from_search(search, names=name, chance_level=chance)
plt.show()

# %%
# The same as numbers:

display.to_frame().round(3)

# %%
# Fewer bits for nearly the same score
# ------------------------------------
# Longer codes nearly always score higher, but need more memory, and time in every search. ``refit``
# accepts a function that chooses the candidate. This one considers all candidates within one
# standard deviation of the best score. Of these, it takes the best one with the shortest codes.


def shortest(results):
    """Return the candidate with the shortest code within one standard deviation of the best."""
    best = np.argmax(results["mean_test_score"])
    enough = results["mean_test_score"][best] - results["std_test_score"][best]
    lengths = np.array([params["hash__n_bits"] for params in results["params"]])
    good = np.flatnonzero(results["mean_test_score"] >= enough)
    good = good[lengths[good] == lengths[good].min()]
    return good[np.argmax(results["mean_test_score"][good])]


search.cv_results_["params"][shortest(search.cv_results_)]

# %%
# If this is the best candidate itself, no shorter code is within a standard deviation.
#
# Evaluate with labels, once
# --------------------------
# The 200 test scenes, in 400 rows, were not used for any choice so far. Each hasher is trained on
# all training pairs with the chosen code length and its best other parameters, with three seeds.
# The test rows search each other. The relevant items are the captions *of the same picture*, or *of
# scenes that share a class*. The scores are mean average precision over all ranks with ties in
# expectation, averaged over both directions, as mean ± standard deviation over the seeds.

import pandas as pd

chosen_bits = search.best_params_["hash__n_bits"]
relevant = {"same picture": group[600:], "same class": scenes.target[1000:]}


def evaluate(image, text):
    return [
        np.mean([mean_average_precision(*sides, y, y) for sides in ((image, text), (text, image))])
        for y in relevant.values()
    ]


scores = {"random codes": []}
for seed in range(3):
    scores["random codes"].append(
        evaluate(*np.random.default_rng(seed).random((2, len(test), chosen_bits)) < 0.5)
    )
    for row, candidate in zip(display.to_frame().itertuples(), display.candidates, strict=True):
        if row.n_bits == chosen_bits:
            model = search.estimator.set_params(**search.cv_results_["params"][candidate])
            model.set_params(hash__random_state=seed).fit(train)
            codes = np.split(model.transform(test), 2, axis=1)
            scores.setdefault(row.hasher, []).append(evaluate(*codes))

pd.DataFrame(
    [
        [f"{m:.3f} ± {s:.3f}" for m, s in zip(np.mean(v, 0), np.std(v, 0), strict=True)]
        for v in scores.values()
    ],
    index=list(scores),
    columns=list(relevant),
)

# %%
# Which hasher is best can depend on the code length. In the search, Consensus has the best score
# with 16 bits, and CFRH with longer codes. Some differences, such as that between CCA + ITQ and FSH
# with 128 bits, are smaller than the standard deviation over the folds. The best hasher for finding
# the same picture need not be the best for finding items of the same class;
# :doc:`/guide/choosing` has an example. Other data will give another order, and the network was
# kept small here. Run the search on your own pairs.
