"""
A leaderboard of your own
=========================

Several hashers, several splits, a mean and a standard deviation for each: plain pipelines and
``GridSearchCV`` are enough. To compare a method of yours, add a line to ``hashers``: any
transformer whose output is image codes, then text codes. To use data of yours, replace ``image``
and ``text``.

Here the left half of a handwritten digit is the image and the right half the text. A random
quarter of the pairs is for testing and searches itself; only the other half of a digit is relevant.
Labels are never used.
"""

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, ShuffleSplit
from sklearn.pipeline import Pipeline

from skhash.hashing import CCAHasher, CMFHHasher, ConsensusHasher, FSHHasher, ITQHasher
from skhash.metrics import RetrievalScorer, mean_average_precision

digits = load_digits().images[:1000]
image, text = digits[:, :, :4].reshape(1000, -1), digits[:, :, 4:].reshape(1000, -1)
X = np.hstack([image, text])

common = {"n_image_features": image.shape[1], "random_state": 0}
hashers = {
    "Consensus": ConsensusHasher(**common),
    "CCA + ITQ": CCAHasher(**common),
    "ridge + ITQ": ITQHasher(space="image", **common),
    "CMFH": CMFHHasher(**common),
    "FSH": FSHHasher(**common),
}

# %%
# Measure
# -------
# Each split is a seed. Parameters are the defaults, so that nothing is chosen on test pairs: the
# search only fits and scores every hasher at every length on every split.

splits = ShuffleSplit(3, test_size=0.25, random_state=0)
search = GridSearchCV(
    Pipeline([("hash", CCAHasher())]),
    {"hash": list(hashers.values()), "hash__n_bits": [16, 32, 64]},
    scoring=RetrievalScorer(),  # mAP over all ranks, ties in expectation, mean of both directions
    cv=splits,
    refit=False,
).fit(X)

# %%
# The table
# ---------
# Means and standard deviations over the splits, beside random codes.

rng = np.random.default_rng(0)
random = [mean_average_precision(*(rng.random((2, 250, 64)) < 0.5)) for _ in range(3)]

names = {type(hasher): name for name, hasher in hashers.items()}
results = pd.DataFrame(search.cv_results_)
results["codes"] = [names[type(hasher)] for hasher in results["param_hash"]]
results["score"] = [
    f"{mean:.3f} ± {sd:.3f}"
    for mean, sd in zip(results["mean_test_score"], results["std_test_score"], strict=True)
]
table = results.pivot(index="codes", columns="param_hash__n_bits", values="score")
table = table.loc[list(hashers)].rename_axis(columns="bits", index=None)
table.loc["random codes"] = f"{np.mean(random):.3f} ± {np.std(random):.3f}"
table

# %%
# The picture
# -----------
# The display marks the best row of the table. If you pick that row, its score is a little too good:
# measure it once more, on pairs that took no part in the comparison.

import matplotlib.pyplot as plt

from skhash.metrics import HasherSearchDisplay

HasherSearchDisplay.from_search(
    search,
    names=lambda hasher: names[type(hasher)],
    score_name="mAP",
    chance_level=float(np.mean(random)),
    name="The other half of a digit",
)
plt.show()

# %%
# To choose a ``ridge`` or another parameter, search it inside the training pairs of a split: put a
# ``GridSearchCV`` into ``hashers``. :doc:`/guide/leaderboard` has all hashers on larger data, and
# :doc:`plot_choosing` chooses one for use.
