"""The pairs of the demo: drawn scenes, Wiki, or pictures and captions of your own."""

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import PredefinedSplit
from sklearn.pipeline import make_pipeline
from sklearn.utils import Bunch

from .. import datasets, features, hashing, metrics
from .._blocks import BLOCKS


def load_scenes():
    """Draw scenes; train encoders and a hasher on raw pairs."""
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
        shared_space=True,
        raw=train,
        raw_steps=[("features", encoders)],
        names=train["text"].to_numpy(),
        shown_gallery=train,
        shown_test=test,
        question="a crimson disc above a blue box",
    )


def load_own(images, captions, cache_dir):
    """Load pictures and captions; hold out a fifth for testing and a fifth for tuning."""
    pairs = datasets.load_image_table(images, captions, on_missing="drop")
    fifth = np.random.default_rng(0).integers(5, size=pairs.group.max() + 1)[pairs.group]
    train, test = (pairs.frame[rows].reset_index(drop=True) for rows in (fifth > 0, fifth == 0))
    held_out, shared_space = fifth[fifth > 0] == 1, False
    clip = features.CLIPFeaturizer(n_workers=1, verbose=1)
    try:
        clip.transform(train["image"][:1])
    except OSError:
        print("  CLIP's weights are not available: encoders are trained on these pairs instead.")
        featurizer, tables = train_encoders(train, test, held_out)
        shared_space = True
    else:
        clip.set_params(cache_dir=cache_dir)  # the pictures are encoded more than once
        featurizer = features.CrossModalFeaturizer(image=clip, text=features.BoWTextFeaturizer())
        featurizer.fit(train[~held_out])
        tables = [featurizer.transform(table) for table in (train, test)]
    return Bunch(
        about=f"{len(pairs.frame)} pairs of your own, {len(pairs.dropped)} pictures missing.",
        relevant="belongs to the same picture as the query",
        train=tables[0],
        test=tables[1],
        gallery=tables[1],
        y_gallery=pairs.group[fifth == 0],
        y_test=pairs.group[fifth == 0],
        cv=PredefinedSplit(np.where(held_out, 0, -1)),
        shared_space=shared_space,
        raw=train,
        raw_steps=[("features", featurizer)],
        names=np.array([f"{image}: {text}" for image, text in train.to_numpy()]),
        shown_gallery=test,
        shown_test=test,
        question=test["text"][0],
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
        shared_space=False,
        raw=train.data,
        raw_steps=[],
        names=names[0],
        shown_gallery=shown[0],
        shown_test=shown[1],
        question="5",
    )


def train_encoders(train, test, held_out):
    """Train encoders and a hasher on raw pairs; return the encoders and both feature tables."""
    print("  Training encoders on pairs, then a hasher on their features:")
    learned = train[~held_out]  # the others are for tuning
    batch_size = min(128, max(2, len(learned) // 4))
    pipeline = make_pipeline(
        features.ContrastiveFeaturizer(batch_size=batch_size, random_state=0, verbose=1),
        hashing.CFRHHasher(random_state=0),
    ).fit(learned)
    tables = [pipeline[0].transform(table) for table in (train, test)]
    print_recalls(tables[1], pipeline.transform(test))
    return FrozenEstimator(pipeline[0]), tables


def print_recalls(table, codes):
    """Print how often the other half of a pair is found, by features and by codes."""
    values = table.to_numpy()
    n_bits, n_features = codes.shape[1] // 2, values.shape[1] // 2
    random = np.random.default_rng(0).random(codes.shape) < 0.5
    rows = {
        "random codes": (random, n_bits // 8),
        "features, by cosine": (values, 4 * n_features),
        "signs of the features": (values > 0, n_features // 8),
        "CFRH": (codes, n_bits // 8),
    }
    recalls = {}
    heads = ("I->T R@1", "I->T R@10", "T->I R@1", "T->I R@10", "bytes")
    print(f"\n  {'':<22}" + "".join(f"{head:>12}" for head in heads))
    for name, (pairs, n_bytes) in rows.items():
        image, text = np.split(pairs, 2, axis=1)
        both = (image, text), (text, image)
        found = [metrics.hit_rate_at_k(*sides, k=(1, 10)) for sides in both]
        recalls[name] = np.mean(found, axis=0)
        print(f"  {name:<22}" + "".join(f"{r:>12.3f}" for r in np.ravel(found)) + f"{n_bytes:>12}")
    kept, factor = recalls["CFRH"] / recalls["features, by cosine"], 32 * n_features // n_bits
    print(f"""
  R@k: the other half of a pair is among the k nearest of {len(codes)} unseen pairs; ties count in
  expectation. Bytes: of one item. Codes keep {kept[1]:.0%} of R@10 at 1/{factor} of the bytes.
""")
