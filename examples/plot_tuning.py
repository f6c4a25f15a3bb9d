"""
Tune without labels
===================

How many bits should codes have, and how large should ``pairing_weight`` be? A grid search can
choose both without labels. The score on each held-out fold is how well codes find *the other half
of their pair*.

Labels are used only once, at the end, on pictures that were not used in any step before.
"""

from skhash.datasets import make_scenes

scenes = make_scenes(600, random_state=0)
train, test = scenes.frame[:400], scenes.frame[400:]

# %%
# Compute the embeddings once
# ---------------------------
# A search over 12 candidates and 3 folds would embed each picture dozens of times. Therefore the
# pictures are embedded before the search, and the vectors replace them in the table. This example
# uses learned patches; for real data, use ``CLIPFeaturizer().transform(paths)``. Captions remain
# texts, because their featurizer is fast and could be tuned as well.

from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline, make_pipeline

from skhash import make_table
from skhash.features import BoWTextFeaturizer, CrossModalFeaturizer, PatchFeaturizer
from skhash.hashing import CFRHHasher

embed = make_pipeline(
    PatchFeaturizer(stride=2, random_state=0), PCA(64, whiten=True, random_state=0)
)
embed.fit(train["image"])
train = make_table(image=embed.transform(train["image"]), text=train["text"])
test = make_table(image=embed.transform(test["image"]), text=test["text"])
train.iloc[:3, -4:]

# %%
# Search
# ------
# With ``y=None``, only the other half of the pair is relevant. The score is mean average precision
# over all ranks of the fold, averaged over both directions, with ties in expectation.

from sklearn.model_selection import GridSearchCV

from skhash.retrieval import HammingRetriever

pipeline = Pipeline(
    [
        ("features", CrossModalFeaturizer(text=BoWTextFeaturizer())),
        ("hash", CFRHHasher(hidden_units=256, max_iter=20, random_state=0)),
    ]
)
search = GridSearchCV(
    pipeline,
    {"hash__n_bits": [16, 32, 64, 128], "hash__pairing_weight": [0, 1, 4]},
    scoring=HammingRetriever.as_scorer(),
    cv=3,
)
search.fit(train)
search.best_params_

# %%
# Bits against score
# ------------------
# Each point is the mean over three folds, with the standard deviation as an error bar. With one
# relevant item among :math:`n`, the expected score of random codes is
# :math:`\frac{1}{n} \sum_{i \le n} \frac{1}{i}`.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

results = pd.DataFrame(search.cv_results_)
n_fold = len(train) // 3
chance = np.mean(1 / np.arange(1, n_fold + 1))

fig, axes = plt.subplots(figsize=(8, 4), layout="constrained")
styles = zip(("#0072B2", "#D55E00", "#009E73"), "os^", (0.97, 1, 1.03), strict=True)
for (weight, rows), (colour, marker, shift) in zip(
    results.groupby("param_hash__pairing_weight"), styles, strict=True
):
    axes.errorbar(
        rows["param_hash__n_bits"].astype(float) * shift,  # so that bars do not hide each other
        rows["mean_test_score"],
        rows["std_test_score"],
        color=colour,
        marker=marker,
        capsize=3,
        label=f"pairing_weight={weight}",
    )
axes.axhline(chance, color="0.6", linestyle=":")
axes.text(128, chance + 0.01, "random codes", color="0.4", ha="right", fontsize=9)
axes.set_xscale("log", base=2)
axes.set_xticks([16, 32, 64, 128], [16, 32, 64, 128])
axes.set(xlabel="bits", ylabel="mAP of finding the pair", ylim=(0, None))
axes.set_title(f"Chosen without labels: one right answer among {n_fold}", loc="left")
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False)
plt.show()

# %%
# A larger ``pairing_weight`` moves the two codes of a pair closer together, which is what this
# score measures, and longer codes always score higher. The best candidate therefore lies in the
# corner of the grid. You can widen the grid, or choose the number of bits by memory and only the
# weight by the score.
#
# Evaluate with labels
# --------------------
# The best candidate is refitted on all 400 training pairs. The 200 unseen scenes are the queries,
# and the training scenes are the database. Scenes that share a class are relevant. The scores are
# mean average precision over all ranks with ties in expectation. For comparison, the table has
# random codes of the same length, and linear hashers with default parameters on the same features:
# canonical correlation analysis (CCA), and ridge regression into the space of one modality, both
# with iterative quantization (ITQ).

from skhash.hashing import CCAHasher, ITQHasher
from skhash.metrics import mean_average_precision

y_train, y_test = scenes.target[:400], scenes.target[400:]
n_bits = search.best_params_["hash__n_bits"]
features = search.best_estimator_["features"].transform
hashers = {
    f"best candidate, {n_bits} bits": search.best_estimator_["hash"],
    "CCA + ITQ": CCAHasher(n_bits, random_state=0).fit(features(train)),
    "ridge + ITQ, image space": ITQHasher(n_bits, random_state=0).fit(features(train)),
    "ridge + ITQ, text space": ITQHasher(n_bits, space="text", random_state=0).fit(features(train)),
}
codes = {name: [h.transform(features(X)) for X in (test, train)] for name, h in hashers.items()}
rng = np.random.default_rng(0)
codes["random codes"] = [rng.random((len(X), 2 * n_bits)) < 0.5 for X in (test, train)]
image, text = slice(0, n_bits), slice(n_bits, None)

pd.DataFrame(
    [
        [
            mean_average_precision(a[:, source], b[:, goal], y_test, y_train)
            for source, goal in ((image, text), (text, image))
        ]
        for a, b in codes.values()
    ],
    index=list(codes),
    columns=["picture → captions", "caption → pictures"],
).round(3)
