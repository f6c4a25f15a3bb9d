"""The collections and scores that the benchmarks of quality share."""

import importlib
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from skhash.datasets import _benchmarks, fetch_mirflickr25k
from skhash.hashing import CCAHasher
from skhash.metrics import hit_rate_at_k

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def collection(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("_collection")


@pytest.fixture
def quality(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("_quality")


@pytest.fixture
def captioned(tmp_path):
    """A file of 40 images with two captions each, and of the first captions as words."""
    rng = np.random.default_rng(0)
    kinds = rng.integers(5, size=40)
    names = np.array(["dog", "cat", "ship", "tree", "house"])[kinds]
    image = np.eye(5)[kinds] + 0.01 * rng.normal(size=(40, 5))
    captions = [f"{form} {name} here" for name in names for form in ("small", "large")]
    path = tmp_path / "some.npz"
    np.savez(path, image=image, caption=captions, picture=np.repeat(np.arange(40), 2))
    return path


def rows_of(part):
    return {row.tobytes() for row in part}


def test_digits_are_searched_where_they_were_trained_on(collection):
    (digits,) = collection.collect(["digits"], 0)
    assert digits.gallery is digits.train
    assert (len(digits.queries), len(digits.train), digits.n_image) == (359, 1438, 32)
    assert [len(labels) for labels in digits.labels] == [359, 1438]


def test_the_database_apart_was_not_trained_on(collection):
    (digits,), (apart,) = (collection.collect([name], 0) for name in ("digits", "digits-apart"))
    np.testing.assert_array_equal(apart.queries, digits.queries)
    assert rows_of(apart.train) | rows_of(apart.gallery) == rows_of(digits.train)
    assert len(apart.train) + len(apart.gallery) == len(digits.train)
    assert len(apart.labels[1]) == len(apart.gallery)


def test_a_collection_that_lies_apart_already_is_refused(collection, captioned):
    with pytest.raises(ValueError, match="does not search its training pairs"):
        list(collection.collect([f"{captioned}-apart"], 0))


def test_seeds_draw_other_splits(collection):
    one, same, other = (next(collection.collect(["digits"], seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.train, same.train)
    assert not np.array_equal(one.train, other.train)


def test_captions_of_a_picture_stay_together(collection, captioned):
    one, all_captions = collection.collect([captioned], 0)
    assert (len(one.train), len(one.queries), one.labels) == (30, 10, (None, None))
    train, queries, gallery = all_captions.groups
    assert not set(train) & set(queries)
    np.testing.assert_array_equal(queries, gallery)
    assert (len(train), len(queries)) == (60, 20)


def test_a_picture_with_several_captions_counts_once(collection, quality, captioned):
    _, captions = collection.collect([captioned], 0)
    n_items = []

    def metric(queries, gallery, y_queries, y_gallery):
        n_items.append((len(queries), len(gallery)))
        return hit_rate_at_k(queries, gallery, y_queries, y_gallery, k=1)

    hasher = CCAHasher(4, n_image_features=5, random_state=0)
    hasher, _ = quality.fit(hasher, captions)
    quality.both_directions(hasher.transform, captions, metric)
    assert n_items == [(10, 20), (20, 10)]


def test_the_ridge_is_chosen_on_groups_of_training_pairs(collection, quality, captioned):
    _, captions = collection.collect([captioned], 0)
    hasher = CCAHasher(4, n_image_features=5, random_state=0)
    assert quality.choose(hasher, captions, 0)["ridge"] in quality.RIDGES


def test_shared_space_is_a_reference_where_the_blocks_are_equally_wide(
    collection, quality, captioned
):
    (digits,), (captions, _) = (collection.collect([name], 0) for name in ("digits", captioned))
    method = quality.REFERENCES["ITQ of the shared space"]
    assert quality.applies(*method, digits)
    assert not quality.applies(*method, captions)


@pytest.fixture
def official(tmp_path, monkeypatch):
    """MIRFlickr-25K with 60 pairs, in the official layout, and a file of image features."""
    h5py = pytest.importorskip("h5py")
    rng = np.random.default_rng(0)
    folder = tmp_path / "mirflickr25k"
    folder.mkdir()
    tables = {"y": rng.integers(2, size=(60, 1386)), "l": rng.random((60, 24)) < 0.3}
    for letter, table in tables.items():
        name = f"{letter.upper()}All"
        savemat(folder / f"mirflickr25k-{letter}all.mat", {name: table.astype(np.uint8)})
    with h5py.File(folder / "mirflickr25k-iall.mat", "w") as file:
        file["IAll"] = np.zeros((60, 3, 2, 2), dtype=np.uint8)
    monkeypatch.setenv("SKHASH_DATA", str(tmp_path))
    monkeypatch.setattr(_benchmarks, "MIRFLICKR_COUNTS", ((4, 8), (1, 1)))
    features = np.arange(60.0)[:, None] * [1, 2, 3]  # the number of the row is the first column
    np.save(tmp_path / "clip.npy", features)
    np.savez(tmp_path / "clip.npz", image=features)
    return tmp_path


@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_official_files_take_the_image_features_of_a_file(collection, official, ending):
    (field,) = collection.collect([f"mirflickr25k={official}/clip.{ending}"], 1)
    train = fetch_mirflickr25k(subset="train", random_state=1)
    np.testing.assert_array_equal(field.train[:, 0], train.row)
    np.testing.assert_array_equal(field.train[:, 3:], train.text)
    np.testing.assert_array_equal(field.y, train.target)
    assert (field.n_image, field.protocol) == (3, "database trained on")
    assert set(field.gallery[:, 0]) == set(range(60)) - set(field.queries[:, 0])


def test_training_pairs_are_taken_out_of_an_official_database(collection, official):
    (apart,) = collection.collect([f"mirflickr25k-apart={official}/clip.npy"], 1)
    assert not rows_of(apart.gallery) & (rows_of(apart.train) | rows_of(apart.queries))
    assert len(apart.gallery) + len(apart.train) + len(apart.queries) == 60
    assert (apart.protocol, len(apart.labels[1])) == ("database apart", len(apart.gallery))


@pytest.mark.parametrize(
    ("name", "match"),
    [("mirflickr25k", "has no image features"), ("mirflickr25k={}/few.npy", "all 60 pairs")],
)
def test_official_files_without_features_of_all_pairs_are_refused(
    collection, official, name, match
):
    np.save(official / "few.npy", np.zeros((59, 3)))
    with pytest.raises(ValueError, match=match):
        next(collection.collect([name.format(official)], 0))


def test_drawn_pairs_are_divided_alike_at_any_size(collection):
    found = next(collection.collect(["clip-like=1000"], 0))
    assert found.name == "CLIP-like, 1,000 pairs"
    assert [len(X) for X in (found.train, found.queries, found.gallery)] == [250, 100, 650]
