"""
Inspect the target affinity
===========================

Many hashers that train networks compute their own training target from the features, without
labels: an affinity, which says how similar the codes of any two pairs should be. You can inspect
and evaluate the affinity before you train a network.

This example shows the affinity of CFRH on 800 drawn scenes, and evaluates it on 200 others. Image
features are histograms of learned patches, which replace ``CLIPFeaturizer()`` if its weights are
not available. Text features are bags of words.
"""

from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline

from skhash.datasets import make_scenes
from skhash.features import BoWTextFeaturizer, CrossModalFeaturizer, PatchFeaturizer

scenes = make_scenes(1000, random_state=0)
pictures = make_pipeline(
    PatchFeaturizer(stride=2, random_state=0), PCA(64, whiten=True, random_state=0)
)
featurizer = CrossModalFeaturizer(image=pictures, text=BoWTextFeaturizer())
train = featurizer.fit_transform(scenes.frame[:800])
test, target = featurizer.transform(scenes.frame[800:]), scenes.target[800:]

# %%
# Three similarities and their sum
# --------------------------------
# CFRH fuses three similarities, :math:`S = \mu (\beta S_I + \gamma S_T + \eta S_C)`: the similarity
# of the pictures, the similarity of the captions, and a joint similarity, which compares to which
# other scenes the picture and the caption are similar. If two of the three weights are 0,
# ``affinity`` returns the third similarity alone.

from skhash.hashing import CFRHHasher

alone = {"image_weight": 0, "text_weight": 0, "joint_weight": 0, "scale": 1}
affinities = {
    r"pictures, $S_I$": CFRHHasher(**alone | {"image_weight": 1}),
    r"captions, $S_T$": CFRHHasher(**alone | {"text_weight": 1}),
    r"joint, $S_C$": CFRHHasher(**alone | {"joint_weight": 1}),
    r"fused, $S$": CFRHHasher(n_bits=64, random_state=0),
}

# %%
# A scene has two of twelve classes. This gives 60 kinds of scenes, with about 13 of the 800 scenes
# each. Each cell shows the mean similarity of the scenes of one kind to those of another. The first
# image shows a perfect affinity: whether two kinds share a class.

import matplotlib.pyplot as plt
import numpy as np

kinds, kind = np.unique(scenes.target[:800], axis=0, return_inverse=True)
members = np.eye(len(kinds))[kind]


def cells(affinity):
    """Mean of an affinity over the pairs of scenes of each two kinds, a scene and itself apart."""
    strangers = 1 - np.eye(len(affinity))
    return (members.T @ (affinity * strangers) @ members) / (members.T @ strangers @ members)


panels = {"labels": (kinds.astype(int) @ kinds.T > 0).astype(float)}
panels |= {name: cells(hasher.affinity(train)) for name, hasher in affinities.items()}

fig, grid = plt.subplots(1, 5, figsize=(12, 3.1), layout="constrained")
for axes, (name, matrix) in zip(grid, panels.items(), strict=True):
    low, high = np.quantile(matrix, [0.02, 0.98])
    axes.imshow(matrix[::-1, ::-1], cmap="cividis", vmin=low, vmax=high)
    axes.set(xticks=[], yticks=[])
    axes.set_title(name, fontsize=14)
fig.suptitle("60 kinds of scene against each other, sorted by class (bright: similar)", fontsize=14)
plt.show()

# %%
# Much of this pattern appears without any label. The similarity of the pictures shows the squares
# of the first image, the similarity of the captions shows its stripes, and the fused affinity shows
# both, but fainter.
#
# Evaluate the affinity
# ---------------------
# Each row of the affinity of the 200 held-out scenes ranks the other 199 scenes. Scenes that share
# a class are relevant. The mean average precision over all ranks measures how well the affinity
# agrees with the labels.
#
# Codes of 64 bits are evaluated in the same way. CFRH is trained on the 800 scenes with the fused
# affinity, and then pictures rank captions, and captions rank pictures. Linear codes of canonical
# correlation analysis with iterative quantization (CCA + ITQ) are shown for comparison. A scene
# never ranks itself, and items at equal Hamming distance are put in random order.

from sklearn.metrics import label_ranking_average_precision_score

from skhash.hashing import CCAHasher

rng = np.random.default_rng(0)
relevant = target.astype(int) @ target.T > 0
others = ~np.eye(len(target), dtype=bool)


def evaluate(similarity):
    """Mean average precision of ranking the other rows by similarity."""
    ranking = similarity + 1e-6 * rng.random(similarity.shape)
    rows = (matrix[others].reshape(len(target), -1) for matrix in (relevant, ranking))
    return label_ranking_average_precision_score(*rows)


scores = {f"affinity: {name}": evaluate(t.affinity(test)) for name, t in affinities.items()}

hashers = {
    "codes": affinities[r"fused, $S$"].set_params(output="signs"),
    "CCA + ITQ": CCAHasher(n_bits=64, output="signs", random_state=0),
}
for name, hasher in hashers.items():
    image_codes, text_codes = np.split(hasher.fit(train).transform(test).astype(float), 2, axis=1)
    scores[f"{name}: picture ranks captions"] = evaluate(image_codes @ text_codes.T)
    scores[f"{name}: caption ranks pictures"] = evaluate(text_codes @ image_codes.T)
random_codes = rng.choice([-1.0, 1.0], size=image_codes.shape)
scores["random codes"] = evaluate(random_codes @ rng.permutation(random_codes).T)

fig, axes = plt.subplots(figsize=(8, 4), layout="constrained")
colours = ["#0072B2"] * 4 + ["#D55E00"] * 2 + ["#009E73"] * 2 + ["0.6"]
axes.barh(list(scores), list(scores.values()), color=colours, height=0.65)
for place, value in enumerate(scores.values()):
    axes.text(value + 0.008, place, f"{value:.3f}", va="center", fontsize=10)
axes.axvline(scores["random codes"], color="0.6", linewidth=1, linestyle=":")
axes.invert_yaxis()
axes.set(xlim=(0, 1), xlabel="mean average precision over all ranks, 199 other scenes")
axes.set_title("The affinity before training, and the codes after it", loc="left")
axes.spines[["top", "right"]].set_visible(False)
axes.tick_params(left=False)
plt.show()

# %%
# The fused affinity scores higher than that of either modality, mostly because of the joint
# similarity. The scores of the codes are close to it, although the affinity uses both halves of
# each scene, and a code is computed from one half and has only 64 bits. Training will not make
# codes much better than their target. If the affinity scores no better than random codes, improve
# the features first.
#
# Labels were only used to evaluate, not to choose anything. :doc:`/gallery/plot_tuning` shows how
# to choose parameters without labels.
