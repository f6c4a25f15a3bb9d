"""
An index with names, filters and removals
=========================================

A collection changes, and a search should give file names. The pictures here are drawn scenes.
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
# File names are the ids. ``search`` finds pictures for a sentence, as a table.

from skhash.retrieval import HammingRetriever

names = [f"scene-{number:03}.png" for number in range(700)]
codes = towers.image.transform(frame["image"])
index = HammingRetriever(n_neighbors=3).fit(codes[:600], labels[:600], ids=names[:600])
query = towers.text.transform(["a violet wedge over a teal box"])
index.search(query)

# %%
# New pictures are added, and others removed: at once, and without numbering the rest anew.

print(index.partial_fit(codes[600:], labels[600:], ids=names[600:]).remove(names[:100]))

# %%
# A filter on the labels: only pictures that show a warm circle, the first column.

index.search(query, where=lambda labels: labels[:, 0] == 1)

# %%
# Several captions of a picture would fill all places. With groups, a picture takes one.

styles = ["{}", "a drawing in which {}", "{} on a plain ground"]
captions = [style.format(text) for text in frame["text"] for style in styles]
texts = HammingRetriever(n_neighbors=3).fit(towers.text.transform(captions), captions)
texts.search(codes[:1], groups=np.repeat(names, 3))

# %%
# A saved index keeps its ids, leaves removed items out, and is opened in milliseconds.

from tempfile import TemporaryDirectory

with TemporaryDirectory() as folder:
    index.save(folder)
    print(HammingRetriever.open(folder))
