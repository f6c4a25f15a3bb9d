"""
A folder with broken files
==========================

A typical collection is a folder of pictures and a table of captions, and some of the files are
broken. This example shows how to find the broken files, what happens to their rows, and how the
cache of embeddings speeds up a second run.

CLIP's weights are too large for this example. They are replaced by small encoders, which are
trained on other pairs and saved in open_clip's format. ``CLIPFeaturizer()`` is used in the same
way.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from skhash.datasets import make_scenes
from skhash.features import ContrastiveFeaturizer

home = TemporaryDirectory()
place = Path(home.name)
encoders = ContrastiveFeaturizer(image_size=32, random_state=0)
encoders.fit(make_scenes(1000, random_state=1).frame).save_pretrained(place / "encoders")

# %%
# The collection
# --------------
# The collection has 600 pictures. Seven of them are broken, each in a different way: a truncated
# file, an empty file, a text file, random bytes, a missing file, a folder, and a picture with too
# many pixels.

import os

import numpy as np
import pandas as pd
from PIL import Image

pictures = place / "pictures"
pictures.mkdir()
pairs = make_scenes(600, random_state=0).frame
for row, picture in enumerate(pairs["image"]):
    Image.fromarray(np.asarray(picture)).save(pictures / f"{row:03d}.png")
names = [f"{row:03d}.png" for row in range(600)]
pd.DataFrame({"image": names, "caption": pairs["text"]}).to_csv(place / "captions.csv", index=False)

broken = [pictures / name for name in names[40:600:90]]
whole = broken[0].read_bytes()
broken[0].write_bytes(whole[: len(whole) // 2])
broken[1].write_bytes(b"")
broken[2].write_text("Not found")
broken[3].write_bytes(np.random.default_rng(0).bytes(2000))
broken[4].unlink()
broken[5].unlink()
broken[5].mkdir()
Image.new("1", (20_000, 20_000)).save(broken[6])

# %%
# ``load_image_table`` joins the table of captions with the folder. A missing picture is an error,
# or is dropped with ``on_missing="drop"``. Pictures are not opened yet, so broken ones are not
# found here.

import warnings

from skhash.datasets import load_image_table

with warnings.catch_warnings(action="ignore"):  # the next line prints the missing files
    table = load_image_table(pictures, place / "captions.csv", on_missing="drop")
print(len(table.frame), "pairs; missing:", *map(os.path.basename, table.dropped))

# %%
# Pictures that cannot be read
# ----------------------------
# By default, the first picture that cannot be read raises an error that names the file. With
# ``on_error="nan"``, such pictures become rows of NaN, and ``errors_`` lists them.

import time

from skhash.features import CLIPFeaturizer

featurizer = CLIPFeaturizer(
    f"local-dir:{place / 'encoders'}", on_error="nan", cache_dir=place / "features"
)
started = time.perf_counter()
with warnings.catch_warnings(action="ignore"):
    vectors = featurizer.transform(table.frame["image"])
first = time.perf_counter() - started
pd.set_option("display.max_colwidth", None)
featurizer.errors_.assign(item=featurizer.errors_["item"].map(lambda item: item[-8:-1]))

# %%
# Resume from the cache
# ---------------------
# Each batch was written to ``cache_dir`` as soon as it was computed, so a run that is killed can be
# resumed. A second run computes only missing embeddings: here, one picture was repaired in between.
# The cache identifies a picture by its content, and a model by its weights and all parameters that
# change embeddings.

from skhash.features import list_features

broken[0].write_bytes(whole)
started = time.perf_counter()
with warnings.catch_warnings(action="ignore"):
    vectors = featurizer.transform(table.frame["image"])
second = time.perf_counter() - started
print(f"the first pass took {first:.2f} s, the second {second:.2f} s")
list_features(place / "features").reset_index(drop=True)

# %%
# Learn codes
# -----------
# Leave out the rows of NaN together with their captions. Codes of 64 bits are learned from half of
# the pairs; captions of the other half search for their pictures. CFRH is compared with canonical
# correlation analysis and iterative quantization (CCA + ITQ), and with random codes.

import matplotlib.pyplot as plt

from skhash import make_table
from skhash.hashing import CCAHasher, CFRHHasher
from skhash.metrics import RetrievalDisplay, hit_rate_at_k

good = np.isfinite(vectors).all(axis=1)
frame = table.frame[good].reset_index(drop=True)
words = featurizer.set_params(modality="text").transform(frame["text"])
features = make_table(image=vectors[good], text=words)
half = len(frame) // 2
codes = {
    "CFRH": CFRHHasher(n_bits=64, random_state=0).fit(features[:half]).transform(features[half:]),
    "CCA + ITQ": CCAHasher(64, random_state=0).fit(features[:half]).transform(features[half:]),
}
codes["random codes"] = np.random.default_rng(0).random(codes["CFRH"].shape) < 0.5
for name, pairs in codes.items():
    image, text = np.split(pairs, 2, axis=1)
    found = hit_rate_at_k(text, image, k=10)
    print(f"{name:>12}: {found:.3f} of captions find their picture in the top 10 of {len(image)}")

# %%
# The five nearest pictures of three captions by the codes of CFRH. The correct picture has a blue
# frame.

image, text = np.split(codes["CFRH"], 2, axis=1)
shown = frame[half:].reset_index(drop=True)
RetrievalDisplay.from_codes(
    text,
    image,
    shown["text"],
    [Image.open(path) for path in shown["image"]],
    np.arange(len(image)),
    np.arange(len(image)),
    n_queries=3,
    n_neighbors=5,
)
plt.show()
home.cleanup()
