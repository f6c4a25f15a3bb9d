"""
An index with names, filters and removals
=========================================

This example builds an index of drawn scenes whose search returns file names, adds and removes
pictures, and filters and groups the results.
"""

import numpy as np
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline

from skhash import split_towers
from skhash.datasets import make_scenes
from skhash.features import BoWTextFeaturizer, CrossModalFeaturizer, PatchFeaturizer
from skhash.hashing import ConsensusHasher

scenes = make_scenes(700, random_state=0)
frame, labels = scenes.frame, scenes.target  # indicators of shapes in warm and cool colours
pictures = make_pipeline(PatchFeaturizer(random_state=0), PCA(64, random_state=0))
features = CrossModalFeaturizer(image=pictures, text=BoWTextFeaturizer())
pipeline = make_pipeline(features, ConsensusHasher(n_bits=64, random_state=0)).fit(frame[:600])
towers = split_towers(pipeline)

# %%
# File names are the ids. ``search`` takes the code of a sentence and returns a table of pictures.

from skhash.retrieval import HammingRetriever

names = [f"scene-{number:03}.png" for number in range(700)]
codes = towers.image.transform(frame["image"])
index = HammingRetriever(n_neighbors=3).fit(codes[:600], labels[:600], ids=names[:600])
query = towers.text.transform(["a violet wedge over a teal box"])
found = index.search(query)
found

# %%
# The ids are the names of files, so the pictures that were found can be drawn.

import matplotlib.pyplot as plt

from skhash.metrics import RetrievalDisplay

scene = dict(zip(names, frame["image"], strict=True))
RetrievalDisplay(
    ["a violet wedge over a teal box"],
    [[scene[name] for name in found["id"]]],
    [found["distance"].to_numpy()],
).plot()
plt.show()

# %%
# Add new pictures and remove others. The index is not rebuilt, and row numbers do not change.

print(index.partial_fit(codes[600:], labels[600:], ids=names[600:]).remove(names[:100]))

# %%
# Filter by labels. The first column of the labels is "warm circle", so this search returns only
# pictures that show one.

index.search(query, where=lambda labels: labels[:, 0] == 1)

# %%
# In an index of captions, several captions of the same picture could fill the list of results. With
# ``groups``, each picture appears at most once.

styles = ["{}", "a drawing in which {}", "{} on a plain ground"]
captions = [style.format(text) for text in frame["text"] for style in styles]
texts = HammingRetriever(n_neighbors=3).fit(towers.text.transform(captions), captions)
texts.search(codes[:1], groups=np.repeat(names, 3))

# %%
# Save the index and open it again. Ids are saved, removed items are not. Opening takes
# milliseconds.

from tempfile import TemporaryDirectory

with TemporaryDirectory() as folder:
    index.save(folder)
    print(HammingRetriever.open(folder))
