import tracemalloc

import numpy as np
import pytest
from scipy import sparse
from sklearn.preprocessing import normalize
from sklearn.utils.multiclass import type_of_target

from skhash.datasets import make_clip_features
from skhash.datasets._clip_features import BLOCK
from skhash.hashing import CCAHasher
from skhash.metrics import mean_average_precision


@pytest.fixture(scope="module")
def pairs():
    return make_clip_features(random_state=0)


def strangers(n_samples):
    """Draw rows of two different pairs, 100,000 times."""
    rows = np.random.default_rng(0).integers(n_samples, size=(2, 100_000))
    return rows[:, rows[0] != rows[1]]


def statistics(pairs):
    one, other = strangers(len(pairs.image))
    cosines = np.einsum("nd,nd->n", pairs.image[one], pairs.image[other])
    return {
        "cosine, mean": cosines.mean(),
        "cosine, sd": cosines.std(),
        "tags": np.diff(pairs.text.indptr).mean(),
        "labels": pairs.target.sum(axis=1).mean(),
        "relevant": np.mean((pairs.target[one] & pairs.target[other]).any(axis=1)),
    }


EXPECTED = {"cosine, mean": 0.5, "cosine, sd": 0.07, "tags": 5.5, "labels": 2.9, "relevant": 0.53}


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("n_samples", [1000, 5000, 20_000])
def test_statistics_hold_at_any_size(n_samples, seed):
    found = statistics(make_clip_features(n_samples, random_state=seed))
    print(n_samples, seed, {name: round(float(value), 3) for name, value in found.items()})
    few = 3 if n_samples < 5000 else 1  # a larger error of sampling
    tolerances = {"cosine, mean": 0.01, "cosine, sd": 0.005, "tags": 0.15, "labels": 0.05}
    for name, value in found.items():
        tolerance = few * tolerances.get(name, 0.015)
        assert value == pytest.approx(EXPECTED[name], abs=tolerance), name


def test_images_are_unit_vectors(pairs):
    assert pairs.image.shape == (20_000, 512)
    assert pairs.image.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(pairs.image, axis=1), 1, rtol=1e-5)


def test_texts_are_sparse_tags_with_a_long_tail(pairs):
    assert isinstance(pairs.text, sparse.csr_matrix)
    assert pairs.text.shape == (20_000, 1386)
    assert pairs.text.dtype == np.float32
    assert pairs.text.has_canonical_format
    assert set(pairs.text.data) == {1}
    assert np.diff(pairs.text.indptr).min() >= 1
    counts = np.sort(np.asarray(pairs.text.sum(axis=0)).ravel())[::-1]
    assert counts[0] / len(pairs.image) == pytest.approx(0.09, abs=0.02)
    assert counts[:14].sum() / counts.sum() == pytest.approx(0.12, abs=0.04)  # 1 % of the tags
    assert counts[693:].sum() / counts.sum() == pytest.approx(0.12, abs=0.04)  # the rarer half


def test_labels_occur_together_and_each_pair_has_one(pairs):
    assert pairs.target.dtype == np.uint8
    assert type_of_target(pairs.target) == "multilabel-indicator"
    assert pairs.target.any(axis=1).all()
    assert pairs.target.any(axis=0).all()
    target = pairs.target.astype(float)
    rates, together = target.mean(axis=0), target.T @ target / len(target)
    chance = np.multiply.outer(rates, rates)
    deviations = (together - chance) / np.sqrt(chance / len(target))
    # Most pairs of labels occur together more or less often than independent ones would.
    assert np.mean(np.abs(deviations[np.triu_indices(24, k=1)]) > 3) > 0.5


def test_blocks_stand_side_by_side(pairs):
    assert pairs.n_image_features == 512
    assert np.shares_memory(pairs.data, pairs.image)
    np.testing.assert_array_equal(pairs.data[:, :512], pairs.image)
    np.testing.assert_array_equal(pairs.data[:, 512:], pairs.text.toarray())
    assert len(pairs.feature_names) == pairs.data.shape[1]
    assert pairs.feature_names[511:513] == ["image__511", "text__tag0"]
    assert len(pairs.target_names) == pairs.target.shape[1]


def test_sparse_output_holds_the_same():
    dense = make_clip_features(BLOCK + 10, random_state=3)
    joined = make_clip_features(BLOCK + 10, sparse_output=True, random_state=3)
    assert isinstance(joined.data, sparse.csr_matrix)
    assert joined.data.dtype == np.float32
    joined.data.check_format()
    assert joined.data.has_canonical_format
    np.testing.assert_array_equal(joined.data.toarray(), dense.data)
    np.testing.assert_array_equal(joined.image, dense.image)


def test_splits_lie_apart(pairs):
    assert (pairs.query.size, pairs.train.size, pairs.database.size) == (2000, 5000, 13_000)
    rows = np.concatenate([pairs.query, pairs.train, pairs.database])
    np.testing.assert_array_equal(np.sort(rows), np.arange(20_000))


def test_splits_of_one_pair():
    pairs = make_clip_features(1, random_state=0)
    assert (pairs.query.size, pairs.train.size, pairs.database.size) == (0, 0, 1)


def test_a_longer_call_begins_with_the_pairs_of_a_shorter_one(pairs):
    for n_samples in (7, BLOCK, BLOCK + 1):
        fewer = make_clip_features(n_samples, random_state=0)
        np.testing.assert_array_equal(fewer.data, pairs.data[:n_samples])
        np.testing.assert_array_equal(fewer.target, pairs.target[:n_samples])


def test_seeds_draw_different_pairs_of_one_collection(pairs):
    other = make_clip_features(random_state=1)
    assert not np.array_equal(other.image[0], pairs.image[0])
    np.testing.assert_allclose(other.image.mean(axis=0), pairs.image.mean(axis=0), atol=0.002)
    np.testing.assert_allclose(other.target.mean(axis=0), pairs.target.mean(axis=0), atol=0.02)


@pytest.mark.parametrize("kind", [np.random.RandomState, np.random.default_rng])
def test_generators_are_seeds(kind):
    one, other = (make_clip_features(20, random_state=kind(5)) for _ in range(2))
    np.testing.assert_array_equal(one.data, other.data)


@pytest.mark.parametrize("sizes", [(16, 40, 3), (1, 1, 1), (700, 2000, 80)])
def test_other_sizes(sizes):
    n_features, n_tags, n_labels = sizes
    pairs = make_clip_features(
        50, n_features=n_features, n_tags=n_tags, n_labels=n_labels, random_state=0
    )
    assert pairs.image.shape == (50, n_features)
    assert pairs.text.shape == (50, n_tags)
    assert pairs.target.shape == (50, n_labels)
    assert np.diff(pairs.text.indptr).min() >= 1
    assert pairs.target.any(axis=1).all()


@pytest.mark.parametrize("sparse_output", [False, True])
def test_little_memory_is_needed_beside_the_result(sparse_output):
    make_clip_features(10, random_state=0)  # loads what is loaded once
    beside = []
    for n_samples in (2048, 16_384):
        tracemalloc.start()
        pairs = make_clip_features(n_samples, sparse_output=sparse_output, random_state=0)
        kept, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        beside.append(peak - kept)
        del pairs
    assert beside[1] < beside[0] + 3e6


def precision_at_50(queries, gallery, relevant):
    similarities = queries @ gallery.T
    if sparse.issparse(similarities):
        similarities = similarities.toarray()
    nearest = np.argpartition(-similarities, 50, axis=1)[:, :50]
    return np.take_along_axis(relevant, nearest, axis=1).mean()


def test_retrieval_has_the_difficulty_that_is_described(pairs):
    query, gallery = pairs.query, pairs.database
    relevant = pairs.target[query].astype(int) @ pairs.target[gallery].T > 0
    image = precision_at_50(pairs.image[query], pairs.image[gallery], relevant)
    words = normalize(pairs.text)
    text = precision_at_50(words[query], words[gallery], relevant)
    hasher = CCAHasher(32, n_image_features=512, random_state=0).fit(pairs.data[pairs.train])
    labels = pairs.target[query], pairs.target[gallery]
    found, searched = (
        np.split(hasher.transform(pairs.data[rows]), 2, axis=1) for rows in (query, gallery)
    )
    to_text = mean_average_precision(found[0], searched[1], *labels)
    to_image = mean_average_precision(found[1], searched[0], *labels)
    print(f"P@50 image {image:.3f}, text {text:.3f}; CCA + ITQ {to_text:.3f} {to_image:.3f}")
    assert image == pytest.approx(0.777, abs=0.03)
    assert text == pytest.approx(0.768, abs=0.03)
    assert to_text == pytest.approx(0.597, abs=0.02)
    assert to_image == pytest.approx(0.592, abs=0.02)


def test_a_hasher_takes_the_sparse_pairs():
    pairs = make_clip_features(600, sparse_output=True, random_state=0)
    hasher = CCAHasher(16, n_image_features=512, n_components=32, random_state=0)
    assert hasher.fit(pairs.data).transform(pairs.data).shape == (600, 32)


def test_description_names_the_sizes():
    words = make_clip_features(2000, random_state=0).DESCR
    assert "2,000: 500 to train on, 200 queries, 1,300 database" in words
