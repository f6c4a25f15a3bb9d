"""
A leaderboard of your own
=========================

This example compares several hashers on several splits, with the mean and the standard deviation of
each score. Plain pipelines and ``GridSearchCV`` are enough. To add a method of your own, add a line
to ``hashers``: any transformer can be used if its output is image codes, followed by text codes. To
use your own data, replace ``image`` and ``text``.

Here, the left half of a handwritten digit is the image, and the right half is the text. A random
quarter of the pairs are test pairs, which search each other, and only the other half of a digit is
relevant. Labels are not used.
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
# There is one split for each seed. Parameters are the defaults, so nothing is chosen on test pairs.
# The search only fits and scores every hasher with every code length on every split.

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
# The table has means and standard deviations over the splits, and the score of random codes.

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
# The figure
# ----------
# The ring marks the best candidate. If you select it for use, its score is slightly too high,
# because it was the best of many. Measure it again, on pairs that were not part of the comparison.

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
# To choose ``ridge`` or other parameters, search over them within the training pairs of each split:
# add a ``GridSearchCV`` to ``hashers``. :doc:`/guide/leaderboard` compares all hashers on larger
# data, and :doc:`plot_choosing` chooses one hasher for use.
