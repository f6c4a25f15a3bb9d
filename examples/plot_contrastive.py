"""
Train image and text encoders
=============================

Without pretrained weights, you can train an image encoder and a text encoder on pairs alone. This
example shows what the encoders find before and after training, which pictures a hard batch
contains, and which parts of the method are worth their time.

Small encoders are trained on 1,000 drawn scenes, and 500 other scenes are queries. Pictures are
scaled to 32 pixels, so that this page is built in a minute or two.
"""

from skhash.datasets import make_scenes

scenes = make_scenes(1500, random_state=0).frame
train, test = scenes[:1000], scenes[1000:].reset_index(drop=True)

# %%
# Before and after
# ----------------
# With a learning rate near zero, the encoders keep their random weights. The trained encoders go
# through all stages: random batches first, then two rounds with neighbours in each batch. Three
# captions search the 500 pictures. A blue frame marks the picture of the caption.

import textwrap

import matplotlib.pyplot as plt
import numpy as np

from skhash.features import ContrastiveFeaturizer

untrained = ContrastiveFeaturizer(
    image_size=32, joint_epochs=1, n_rounds=0, learning_rate=1e-9, random_state=0
).fit(train)
trained = ContrastiveFeaturizer(image_size=32, random_state=0).fit(train, X_val=test)


def show(ax, picture, colour=None):
    """Draw a picture, in a frame if it has a colour."""
    ax.imshow(picture)
    ax.set(xticks=[], yticks=[])
    for side in ax.spines.values():
        side.set(visible=colour is not None, color=colour, linewidth=2.5)


queries = [3, 4, 7]
figure, axes = plt.subplots(
    3, 10, figsize=(11, 3.7), width_ratios=[2, *[1] * 4, 0.3, *[1] * 4], layout="constrained"
)
for first, (when, encoders) in {1: ("before", untrained), 6: ("after", trained)}.items():
    similarity = (
        encoders.encode_text(test["text"][queries]) @ encoders.encode_image(test["image"]).T
    )
    nearest = np.argsort(-similarity, axis=1)[:, :4]
    for line, query, items in zip(axes, queries, nearest, strict=True):
        for ax, item in zip(line[first:], items, strict=False):
            show(ax, test["image"][item], "#0072b2" if item == query else None)
    axes[0, first].set_title(f"{when}, the nearest four", loc="left", fontsize=11)
for line, query in zip(axes, queries, strict=True):
    caption = textwrap.fill(test["text"][query], 22)
    line[0].text(0.5, 0.5, caption, ha="center", va="center", fontsize=10)
    line[0].axis("off")
    line[5].axis("off")
plt.show()

# %%
# The course of training
# ----------------------
# ``history_`` has a row for each epoch. The cross-modal loss stops falling when batches begin to
# contain neighbours, because these batches are harder. Choose the number of epochs by recall, not
# by loss.

history = trained.history_
epochs = np.arange(1, len(history) + 1)
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.2), layout="constrained")
for term, name in (("cross", "cross-modal"), ("image", "image"), ("text", "text")):
    left.plot(epochs, history[term], label=name)
left.set(xlabel="epoch", ylabel="loss", yscale="log")
for way, name in (("i2t", "image to text"), ("t2i", "text to image")):
    right.plot(epochs, history[f"{way}_r10"], label=name)
right.axhline(10 / len(test), color="grey", linestyle=":", label="chance")
right.set(xlabel="epoch", ylabel="R@10", ylim=(0, 1))
for ax in (left, right):
    ax.axvspan(
        epochs[history["stage"] == "clustered"][0] - 0.5, epochs[-1] + 0.5, color="0.93", zorder=0
    )
    ax.legend(loc=(0.6, 0.22) if ax is left else "best")
left.set_title("grey: rounds with neighbours", loc="left", fontsize=10)
plt.show()

# %%
# Hard batches
# ------------
# Each round clusters the features. Half of each batch consists of groups of eight items from one
# cluster, and the rest is random. By default there are as many clusters as batches. The seven
# clusters here have little in common except the positions of the shapes. Ten times as many clusters
# also have colours and shapes in common.

coarse = trained.hard_batches(train)[0]
fine = trained.set_params(n_clusters=70).hard_batches(train)[0]
rows = [*coarse[:16].reshape(2, 8), *fine[:16].reshape(2, 8), fine[-8:]]
names = ["7 clusters"] * 2 + ["70 clusters"] * 2 + ["random"]
figure, axes = plt.subplots(5, 8, figsize=(8.8, 5.6), layout="constrained")
for line, items, name in zip(axes, rows, names, strict=True):
    for ax, item in zip(line, items, strict=True):
        show(ax, train["image"][item])
    line[0].set_ylabel(name)
plt.show()

# %%
# From features to codes
# ----------------------
# The features of an item take 512 bytes. A hasher turns them into 64 bits, which are 8 bytes, and
# the other half of a pair is among the ten nearest items about as often. Two linear hashers are
# fitted to the same features for comparison: canonical correlation analysis (CCA), and the space
# that both encoders share, each with iterative quantization (ITQ).

from skhash.hashing import CCAHasher, CFRHHasher, ITQHasher
from skhash.metrics import hit_rate_at_k

features = trained.transform(test)
hashers = {
    "CFRH": CFRHHasher(n_bits=64, random_state=0),
    "CCA + ITQ": CCAHasher(n_bits=64, random_state=0),
    "ITQ of the shared space": ITQHasher(n_bits=64, space="shared", random_state=0),
}
learned = trained.transform(train)
codes = {name: hasher.fit(learned).transform(features) for name, hasher in hashers.items()}
for name, pairs in {
    "features": features.to_numpy(),
    **codes,
    "random codes": np.random.default_rng(0).random((500, 128)) < 0.5,
}.items():
    image, text = np.split(pairs, 2, axis=1)
    recall = hit_rate_at_k(image, text, k=10), hit_rate_at_k(text, image, k=10)
    print(f"{name:<24} R@10 image to text {recall[0]:.3f}, text to image {recall[1]:.3f}")

# %%
# Which part is worth its time
# ----------------------------
# The figure compares the cross-modal loss alone, with clustered batches, with the uni-modal losses,
# and with both. It also shows the cross-modal loss alone, trained for as long as all parts
# together. Because 600 pairs are few, the cross-modal loss uses augmented pictures in all of these,
# so that the encoders memorise less. For comparison, canonical correlation analysis (CCA) is fitted
# to features of the same 600 pairs that are not trained on pairs: histograms of patches and bags of
# words.

from joblib import Parallel, delayed
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline

from skhash.features import BoWTextFeaturizer, CrossModalFeaturizer, PatchFeaturizer

alone = {"image_weight": 0, "text_weight": 0}
no_rounds = {"n_rounds": 0, "joint_epochs": 16}
variants = {
    "cross-modal": {**alone, **no_rounds},
    "+ clusters": alone,
    "+ uni-modal": no_rounds,
    "all parts": {},
    "cross-modal for 36 epochs": {**alone, "n_rounds": 0, "joint_epochs": 36},
}


def recall_at_10(parameters, seed):
    """Train encoders and return the mean recall of both directions."""
    encoders = ContrastiveFeaturizer(
        image_size=32, cross_view="augmented", random_state=seed, **parameters
    ).fit(train[:600])
    return recall(encoders.encode_image(test["image"]), encoders.encode_text(test["text"]))


def recall_of_fixed_features(seed):
    """Return the mean recall of the real codes that CCA learns."""
    patches = PatchFeaturizer(stride=2, random_state=seed)
    pictures = make_pipeline(patches, PCA(64, whiten=True, random_state=seed))
    fixed = CrossModalFeaturizer(image=pictures, text=BoWTextFeaturizer()).fit(train[:600])
    hasher = CCAHasher(64, output="real", random_state=seed).fit(fixed.transform(train[:600]))
    return recall(*np.split(hasher.transform(fixed.transform(test)), 2, axis=1))


def recall(image, text):
    return np.mean([hit_rate_at_k(image, text, k=10), hit_rate_at_k(text, image, k=10)])


tasks = [delayed(recall_at_10)(p, seed) for p in variants.values() for seed in range(3)]
tasks += [delayed(recall_of_fixed_features)(seed) for seed in range(3)]
names = [*variants, "CCA of fixed features"]
scores = np.reshape(Parallel(n_jobs=2)(tasks), (len(names), 3))
colours = ["#0072b2"] * len(variants) + ["#009e73"]
figure, ax = plt.subplots(figsize=(7.5, 3.1), layout="constrained")
ax.barh(names, scores.mean(axis=1), xerr=scores.std(axis=1), color=colours, height=0.6)
ax.axvline(10 / len(test), color="grey", linestyle=":")
ax.text(10 / len(test), -0.75, "chance", color="grey", fontsize=9)
ax.invert_yaxis()
ax.set_xlabel("R@10, mean of both directions and of three seeds")
plt.show()

# %%
# In the same time, the cross-modal loss alone scores higher here than all parts together. CCA of
# fixed features takes seconds and scores higher than all trained encoders: 600 pairs are too few to
# train encoders from scratch, and histograms of patches suit these drawn shapes.
# :doc:`The guide </guide/contrastive>` has larger runs over five seeds, and shows where the other
# parts help.
