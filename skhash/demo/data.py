"""The pairs of the demo: drawn scenes, Wiki, or pictures and captions of your own."""

import os
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import PredefinedSplit
from sklearn.pipeline import make_pipeline
from sklearn.utils import Bunch

from .. import datasets, features
from .._blocks import BLOCKS
from .._inputs.messages import DROPPED_ROWS, UNKNOWN_WORDS, gathering

FEWEST = 40  # pictures of your own
ENOUGH = 1000  # pairs to train encoders on, which know words only from whole captions


def load_scenes():
    """Draw scenes and train encoders on raw pairs."""
    scenes = datasets.make_scenes(2000, random_state=0)
    train, test = scenes.frame[:1500], scenes.frame[1500:]
    held_out = np.arange(1500) >= 1200
    encoders, tables = train_encoders(train, test, held_out)
    return Bunch(
        about="Drawn scenes with English captions: features of encoders trained on them.",
        relevant="shares a class such as 'warm circle' with the query",
        train=tables[0],
        test=tables[1],
        gallery=tables[0],
        y_gallery=scenes.target[:1500],
        y_test=scenes.target[1500:],
        cv=PredefinedSplit(np.where(held_out, 0, -1)),
        groups=None,
        test_groups=None,
        shared_space=True,
        raw_steps=[("features", encoders)],
        names=train["text"].to_numpy(),
        shown_gallery=train,
        shown_test=test,
        question="a crimson disc above a blue box",
    )


def load_own(images, captions, cache_dir):
    """Load pictures and captions; hold out a fifth for testing and a fifth for tuning."""
    folder = Path(os.path.abspath(Path(images).expanduser()))
    with printed(DROPPED_ROWS):
        pairs = datasets.load_image_table(folder, captions, on_missing="drop")
    n_pictures = pairs.group.max() + 1
    if n_pictures < FEWEST:
        raise ValueError(
            f"{captions} has captions of {n_pictures} pictures: give at least {FEWEST}, a fifth of "
            "which is for testing and a fifth for tuning."
        )
    fifth = np.random.default_rng(0).integers(5, size=n_pictures)[pairs.group]
    train, test = (pairs.frame[rows].reset_index(drop=True) for rows in (fifth > 0, fifth == 0))
    held_out, shared_space = fifth[fifth > 0] == 1, False
    shown = test.assign(image=test["image"].map(Path))  # a string would be shown as a text
    clip = features.CLIPFeaturizer(n_workers=1, verbose=1)
    try:
        clip.transform(train["image"][:1])
    except OSError:
        shared_space = len(pairs.frame) >= ENOUGH
        instead = "encoders are trained on these pairs"
        if not shared_space:
            instead = "colours and corners of pictures and words of captions are counted"
        print(f"  CLIP's weights are not available: {instead} instead.")
        make = train_encoders if shared_space else count_words
        with printed(UNKNOWN_WORDS):
            featurizer, tables = make(train, test, held_out)
    else:
        clip.set_params(cache_dir=cache_dir.absolute())  # the pictures are encoded more than once
        featurizer = features.CrossModalFeaturizer(image=clip, text=features.BoWTextFeaturizer())
        with printed(UNKNOWN_WORDS):
            featurizer.fit(train[~held_out])
            tables = [featurizer.transform(table) for table in (train, test)]
    return Bunch(
        about=f"{len(pairs.frame)} pairs of your own.",
        relevant="belongs to the same picture as the query",
        train=tables[0],
        test=tables[1],
        gallery=tables[1],
        y_gallery=pairs.group[fifth == 0],
        y_test=pairs.group[fifth == 0],
        cv=PredefinedSplit(np.where(held_out, 0, -1)),
        groups=pairs.group[fifth > 0],
        test_groups=pairs.group[fifth == 0],
        shared_space=shared_space,
        raw_steps=[("features", featurizer)],
        shown_gallery=shown,
        shown_test=shown,
        question=test["text"][0],
        folder=folder,
        features=pd.concat(tables, ignore_index=True),
        pairs=Bunch(
            frame=pd.concat([train, test], ignore_index=True),
            group=np.concatenate([pairs.group[fifth > 0], pairs.group[fifth == 0]]),
        ),
    )


def load_wiki():
    """Load Wiki's official features; its pictures are not included, so categories are shown."""
    train, test = (datasets.fetch_wiki(subset=s, as_frame=True) for s in ("train", "test"))
    names = [np.array(part.target_names)[part.target] for part in (train, test)]
    shown = [
        {side: [f"{side} {row}: {name}" for row, name in enumerate(part)] for side in BLOCKS}
        for part in names
    ]
    return Bunch(
        about="Wiki. Images: 128 SIFT words. Texts: 10 LDA topics.",
        relevant="has the query's category",
        train=train.data,
        test=test.data,
        gallery=train.data,
        y_gallery=train.target,
        y_test=test.target,
        cv=3,
        groups=None,
        test_groups=None,
        shared_space=False,
        raw_steps=[],
        names=names[0],
        shown_gallery=shown[0],
        shown_test=shown[1],
        question="5",
    )


@contextmanager
def printed(about):
    """Print warnings about something instead of warning, which would name a line of the demo."""
    with gathering(about) as notes:
        yield
    for note in notes:
        print(f"  Note: {note}")


def count_words(train, test, held_out):
    """Count patches of pictures and words; return the featurizer and both feature tables.

    Few pairs suffice for this, and a query of one or two words is understood.
    """
    learned = train[~held_out]  # the others are for tuning
    n_axes = min(64, len(learned) // 3)
    axes = PCA(n_axes, whiten=True, random_state=0)
    image = make_pipeline(features.PatchFeaturizer(random_state=0), axes)
    featurizer = features.CrossModalFeaturizer(image=image, text=features.BoWTextFeaturizer())
    featurizer.fit(learned)
    return featurizer, [featurizer.transform(table) for table in (train, test)]


def train_encoders(train, test, held_out):
    """Train encoders on raw pairs; return the encoders and both feature tables."""
    print("  Training encoders on pairs:")
    learned = train[~held_out]  # the others are for tuning
    batch_size = min(128, max(2, len(learned) // 4))
    encoders = features.ContrastiveFeaturizer(batch_size=batch_size, random_state=0, verbose=1)
    encoders.fit(learned)
    return FrozenEstimator(encoders), [encoders.transform(table) for table in (train, test)]
