"""
Evaluate codes with reports and displays
========================================

A single score does not show how precision changes with the rank, whether bits are wasted, or what
correct results look like. This example evaluates codes of drawn scenes with a table and three
displays.

The first 600 pairs train the hashers and are the database; 200 other pairs are the queries. A
result is correct if it shares a class with the query, such as “warm circle”.
"""

from skhash.datasets import make_scenes

scenes = make_scenes(800, random_state=0)
train, test = scenes.frame[:600], scenes.frame[600:]
y_train, y_test = scenes.target[:600], scenes.target[600:]

# %%
# Compute features of pictures and captions once, and fit hashers of three code lengths.

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
# Random codes show the chance level. The interval shows how precise a mean over 200 queries is. The
# tie bounds show how much the order of items at equal distance changes it.

from skhash.metrics import retrieval_report

queries, database = hashers[64].transform(test_features), hashers[64].transform(train_features)
retrieval_report(queries, database, y_test, y_train, k=50)

# %%
# Precision by rank
# -----------------
# ``from_estimator`` encodes both tables and ranks the pictures for each caption; ``from_codes``
# takes codes that are already computed. Displays draw into the given axes. The thin line is the
# chance level, the share of relevant pairs; the curve of random codes follows it.

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
fig.suptitle("Captions search pictures")
plt.show()

# %%
# Longer codes are better along nearly the whole curve, although doubling the length gains little.
# All curves end on the thin line, because at the last rank every item has been found. The left end
# shows the first few results, which matter most to a user. It is an average over the fewest items,
# so with 200 queries the curves are noisy there, also that of random codes.
#
# Statistics of the bits
# ----------------------
# A bit that is nearly constant, or that repeats another one, is wasted. There are no such bits
# here; those of captions are slightly less balanced than those of pictures. The third panel shows
# what limits these codes: the distances of related and unrelated pairs overlap. A related pair is
# nearer than an unrelated one about two times in three.

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
# Queries and their results
# -------------------------
# With a pipeline that takes raw pictures and captions, one call encodes, searches and draws.
# Correct results have a blue frame and a ✓.

from skhash.metrics import RetrievalDisplay

pipeline = make_pipeline(featurizer, hashers[64])
RetrievalDisplay.from_estimator(pipeline, test, y_test, gallery=train, gallery_y=y_train)
plt.show()

# %%
# In the other direction, pictures search captions:

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
