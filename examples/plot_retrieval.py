"""
Look at codes before you trust them
===================================

One number hides a lot: how deep one looks into a ranking, whether bits are wasted, what a right
result looks like. A table and three displays show it, on drawn scenes.

The first 600 pairs train the hashers and are the database; 200 other pairs are queries. A result is
right if it shares a class with the query, such as “warm circle”.
"""

from skhash.datasets import make_scenes

scenes = make_scenes(800, random_state=0)
train, test = scenes.frame[:600], scenes.frame[600:]
y_train, y_test = scenes.target[:600], scenes.target[600:]

# %%
# Pictures and captions become features once, and codes of three lengths.

from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline

from skhash.features import BoWTextFeaturizer, CrossModalFeaturizer, PatchFeaturizer
from skhash.hashing import CFRHHasher

pictures = make_pipeline(PatchFeaturizer(random_state=0), PCA(64, whiten=True, random_state=0))
featurizer = CrossModalFeaturizer(image=pictures, text=BoWTextFeaturizer()).fit(train)
train_features, test_features = featurizer.transform(train), featurizer.transform(test)
hashers = {
    n_bits: CFRHHasher(n_bits=n_bits, hidden_units=256, max_iter=40, random_state=0)
    for n_bits in (16, 32, 64)
}
for hasher in hashers.values():
    hasher.fit(train_features)

# %%
# All directions in one table
# ---------------------------
# Random codes are the floor. The interval shows how precise a mean of 200 queries is, the tie
# bounds how much the order of items at equal distances changes it.

from skhash.metrics import retrieval_report

queries, database = hashers[64].transform(test_features), hashers[64].transform(train_features)
retrieval_report(queries, database, y_test, y_train, k=50)

# %%
# Precision by rank
# -----------------
# Each display draws into the axes that it is given. ``from_estimator`` encodes both tables and
# ranks the pictures for each caption; ``from_codes`` does the same for codes that are there
# already. The thin line is the share of right pairs, and random codes keep to it.

import matplotlib.pyplot as plt
import numpy as np

from skhash.metrics import RetrievalCurveDisplay

rng = np.random.default_rng(0)
random_codes = rng.random((200, 64)) < 0.5, rng.random((600, 64)) < 0.5

fig, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained", sharey=True)
for kind, ax in zip(["rank", "top-k"], axes, strict=True):
    for (n_bits, hasher), colour in zip(hashers.items(), ["C9", "C0", "k"], strict=True):
        RetrievalCurveDisplay.from_estimator(
            hasher,
            test_features,
            y_test,
            gallery=train_features,
            gallery_y=y_train,
            direction="text_to_image",
            kind=kind,
            name=f"{n_bits} bits",
            ax=ax,
            plot_chance_level=False,
            color=colour,
        )
    RetrievalCurveDisplay.from_codes(
        *random_codes, y_test, y_train, kind=kind, name="random codes", ax=ax, color="C1"
    )
axes[1].set_xscale("log")
fig.suptitle("A caption asks for pictures")
plt.show()

# %%
# Longer codes are better along nearly the whole curve, though doubling their length buys little.
# All curves end on the thin line: where everything is found, order no longer matters. The left end,
# the first few results, is what a user gets, and rests on the fewest items: there 200 queries leave
# the lines unsteady, that of random codes too.
#
# What the bits do
# ----------------
# A bit that is nearly constant or repeats another one is wasted. Here none is: captions use their
# bits a little less evenly than pictures do. What limits these codes is the third panel, where
# related and unrelated pairs overlap: a related pair is the nearer one about two times in three.

from skhash.metrics import CodeDisplay

CodeDisplay.from_estimator(
    hashers[64],
    test_features,
    y_test,
    gallery=train_features,
    gallery_y=y_train,
    direction="text_to_image",
    name="64 bits, captions against pictures",
)
plt.show()

# %%
# What a right result looks like
# ------------------------------
# For a raw table and a pipeline from pictures and captions to codes, one call searches and draws.
# A right result has a blue frame and a ✓.

from skhash.metrics import RetrievalDisplay

pipeline = make_pipeline(featurizer, hashers[64])
RetrievalDisplay.from_estimator(pipeline, test, y_test, gallery=train, gallery_y=y_train)
plt.show()

# %%
# In the other direction, pictures search captions.

RetrievalDisplay.from_estimator(
    pipeline,
    test,
    y_test,
    gallery=train,
    gallery_y=y_train,
    direction="image_to_text",
    n_queries=3,
    n_neighbors=4,
)
plt.show()
