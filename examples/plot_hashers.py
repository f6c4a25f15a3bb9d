"""
Compare all hashers
===================

Every hasher of the library, with its defaults, on the same pairs: how well its codes find what
belongs together, at 16 and at 64 bits, and how long it takes to fit.

The scenes are drawn, so nothing is downloaded. Pictures become histograms of learned patches,
captions bags of words; both are learned from 200 scenes that are not used again, as a pretrained
encoder would be. Of the other 500 scenes, each of three random splits takes 300 to train the
hashers and 200 to test them. Nothing is tuned, and no label is used before the test.
"""

from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline

from skhash.datasets import make_scenes
from skhash.features import BoWTextFeaturizer, CrossModalFeaturizer, PatchFeaturizer

scenes = make_scenes(700, random_state=0)
pictures = make_pipeline(
    PatchFeaturizer(stride=2, random_state=0), PCA(64, whiten=True, random_state=0)
)
featurizer = CrossModalFeaturizer(image=pictures, text=BoWTextFeaturizer())
featurizer.fit(scenes.frame[:200])
pairs, labels = featurizer.transform(scenes.frame[200:]), scenes.target[200:]

# %%
# Fit and score
# -------------
# The score is mean average precision (mAP). Each of the 200 test pictures ranks the 200 test
# captions by Hamming distance, and each caption ranks the pictures. The average precision of a
# query is the mean, over its relevant items, of the precision at their ranks; all 200 ranks count,
# ties count in expectation, and mAP is the mean over queries and over both directions. Two
# questions are asked of the same codes: relevant is *only the other half of the pair*, or *every
# item that shares a class* with the query (the other half included).
#
# Three hashers compare both modalities in one space. Here they have none, so ``space="image"``
# predicts the picture's features from the caption; ITQ is also fitted with ``space="text"``.
# Seconds are those of the processor, so that other programs on the machine do not count.

from inspect import signature
from time import process_time

import numpy as np
import pandas as pd

from skhash import hashing
from skhash.metrics import mean_average_precision

ids = np.arange(200)


def score(image, text):
    """Return the mAP of finding the pair and the class, each a mean of both directions."""
    return [
        (mean_average_precision(image, text, y, y) + mean_average_precision(text, image, y, y)) / 2
        for y in (ids, labels[test])
    ]


methods = []
for name in hashing.__all__:
    spaces = "space" in signature(getattr(hashing, name)).parameters
    methods.append((name, {"space": "image"} if spaces else {}))
methods.append(("ITQHasher", {"space": "text"}))

rows = []
for seed in range(3):
    rng = np.random.default_rng(seed)
    train, test = np.split(rng.permutation(500), [300])
    for n_bits in (16, 64):
        for name, space in methods:
            hasher = getattr(hashing, name)(n_bits, random_state=seed, **space)
            start = process_time()
            hasher.fit(pairs.iloc[train])
            seconds = process_time() - start
            codes = hasher.transform(pairs.iloc[test])
            quality = score(codes[:, :n_bits], codes[:, n_bits:])
            label = name.removesuffix("Hasher")
            label = {"CCA": "CCA + ITQ", "RandomHyperplane": "random planes"}.get(label, label)
            if label == "ITQ":
                label = f"ridge + ITQ, {space['space']}"
            rows.append([label, n_bits, *quality, seconds])
        random_codes = rng.random((200, 2 * n_bits)) < 0.5
        quality = score(random_codes[:, :n_bits], random_codes[:, n_bits:])
        rows.append(["random codes", n_bits, *quality, np.nan])

results = pd.DataFrame(rows, columns=["hasher", "bits", "pair", "class", "seconds"])
summary = results.groupby(["hasher", "bits"])[["pair", "class", "seconds"]].agg(["mean", "std"])
summary.unstack("bits")["pair"].round(3)

# %%
# Quality against bits
# --------------------
# A ring is 16 bits, a disc 64. Thin lines through them are standard deviations over the three
# splits, the dotted line is random codes. The right axis does not begin at 0, since many items
# share a class.

import matplotlib.pyplot as plt

networks = {"CFRH", "CIRH", "DGCPN", "DUCH", "UCCH"}
order = summary["pair", "mean"].xs(64, level="bits").sort_values().index
colours = ["#D55E00" if name in networks else "#0072B2" for name in order]
colours[order.get_loc("random codes")] = "0.55"
places = np.arange(len(order))

fig, panels = plt.subplots(1, 2, figsize=(7, 5.6), sharey=True, layout="constrained")
titles = {"pair": "Find the other half", "class": "Find the same class"}
for axes, (question, title) in zip(panels, titles.items(), strict=True):
    few, many = (summary[question].xs(bits, level="bits").loc[order] for bits in (16, 64))
    axes.hlines(places, few["mean"], many["mean"], color=colours, linewidth=2, alpha=0.35)
    for values, filled in ((few, False), (many, True)):
        low, high = values["mean"] - values["std"], values["mean"] + values["std"]
        axes.hlines(places, low, high, color=colours, linewidth=1)
        faces = colours if filled else "white"
        axes.scatter(
            values["mean"], places, 52, faces, edgecolors=colours, linewidths=1.6, zorder=3
        )
    axes.axvline(many["mean"]["random codes"], color="0.55", linestyle=":", linewidth=1, zorder=0)
    axes.set_title(title, fontsize=13, loc="left")
    axes.set_xlabel("mAP over all ranks", fontsize=11)
    axes.grid(axis="x", color="0.92")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(labelsize=11)
panels[0].set_yticks(places, order)
for kind, colour in (("no network", "#0072B2"), ("network", "#D55E00")):
    panels[1].scatter([], [], 52, colour, label=f"{kind}, 64 bits")
    panels[1].scatter([], [], 52, "white", edgecolors=colour, linewidths=1.6, label="16 bits")
fig.legend(
    *panels[1].get_legend_handles_labels(),
    loc="outside lower center",
    ncols=4,
    frameon=False,
    fontsize=10,
    handletextpad=0.2,
    columnspacing=1.2,
)
plt.show()

# %%
# Seconds to fit
# --------------
# At 64 bits, on one thread, on a logarithmic axis; means over the three splits.

seconds = summary["seconds", "mean"].xs(64, level="bits").loc[order].drop("random codes")
seconds = seconds.sort_values(ascending=False)

fig, axes = plt.subplots(figsize=(7, 4.6), layout="constrained")
colours = ["#D55E00" if name in networks else "#0072B2" for name in seconds.index]
axes.hlines(seconds.index, 1e-3, seconds, color=colours, linewidth=2, alpha=0.35)
axes.scatter(seconds, seconds.index, 52, colours, zorder=3)
for name, value in seconds.items():
    axes.annotate(
        f"{value:.2g} s",
        (value, name),
        (9, 0),
        textcoords="offset points",
        va="center",
        fontsize=11,
    )
axes.set_xscale("log")
axes.set(xlim=(1e-3, 3 * seconds.max()))
axes.set_xlabel("CPU seconds", fontsize=11)
axes.spines[["top", "right", "left"]].set_visible(False)
axes.tick_params(axis="y", length=0)
axes.tick_params(labelsize=11)
plt.show()

# %%
# Consensus is best in both questions, and CMFH finds the other half of a pair as well with 64 bits.
# Classes separate the methods less: CFRH, CCA + ITQ, DGCPN and FSH are within a standard deviation
# or two of each other. Every linear hasher fits faster than every network, most of them by a factor
# of ten or more; Consensus takes as long as a small network. More bits help every method but IMH:
# its further eigenvectors carry noise once the directions that both modalities share are used up.
#
# One set of drawn scenes does not rank methods in general, and 300 pairs are few for a network.
# :doc:`/guide/hashing` compares them on real features, and says which hasher to try first.
