"""Batches by their invariants, and clusters by what they find."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning

from skhash.features._contrastive import batches as B
from skhash.features._contrastive.parameters import Batching

quickly = settings(max_examples=60, deadline=None)
GROUPS = st.lists(st.integers(0, 12), min_size=6, max_size=80).map(np.array)


def rng(*seed):
    return np.random.default_rng(seed or 0)


def random(groups, batch_size, seed=0):
    return B.random_batches(groups, batch_size, rng(seed))


def clustered(groups, batch_size, seed=0, *, labels=None, group_size=2, hard_fraction=0.5):
    if labels is None:
        labels = rng(seed, 1).integers(3, size=len(groups))
    return B.clustered_batches(labels, groups, batch_size, group_size, hard_fraction, rng(seed))


each_sampler = pytest.mark.parametrize("sampler", [random, clustered])


def most_batches(groups, batch_size):
    """Take a row from each of the largest groups until there are too few: no other way has more."""
    left = np.bincount(groups)
    count = 0
    while np.count_nonzero(left) >= batch_size:
        left[np.argsort(-left, kind="stable")[:batch_size]] -= 1
        count += 1
    return count


def runs_of(batches, labels, group_size):
    """Whether the i-th stretch of `group_size` rows of each batch is of one cluster."""
    n_runs = batches.shape[1] // group_size
    stretches = labels[batches[:, : n_runs * group_size]].reshape(len(batches), n_runs, -1)
    return (stretches == stretches[..., :1]).all(axis=2)


@each_sampler
@quickly
@given(groups=GROUPS, batch_size=st.integers(2, 6), seed=st.integers(0, 999))
def test_no_row_comes_twice_and_no_two_of_a_group_meet(sampler, groups, batch_size, seed):
    assume(len(set(groups)) >= batch_size)
    batches = sampler(groups, batch_size, seed)
    assert batches.ndim == 2
    assert batches.shape[1] == batch_size
    assert len(np.unique(batches)) == batches.size
    assert all(len(set(groups[batch])) == batch_size for batch in batches)


@quickly
@given(groups=GROUPS, batch_size=st.integers(2, 6))
def test_no_sampler_could_make_more_random_batches(groups, batch_size):
    assume(len(set(groups)) >= batch_size)
    assert len(random(groups, batch_size)) == most_batches(groups, batch_size)


@quickly
@given(groups=GROUPS, batch_size=st.integers(2, 6), seed=st.integers(0, 999))
def test_clustered_batches_are_nearly_as_many_whatever_the_clusters(groups, batch_size, seed):
    assume(len(set(groups)) >= batch_size)
    count = len(clustered(groups, batch_size, seed))
    assert 0.9 * most_batches(groups, batch_size) <= count <= most_batches(groups, batch_size)
    assert count == len(clustered(groups, batch_size, labels=np.zeros(len(groups), dtype=int)))


@each_sampler
def test_strangers_are_all_used_but_for_the_last_partial_batch(sampler):
    assert sampler(np.arange(107), 10).shape == (10, 10)
    assert sampler(np.arange(20), 20).shape == (1, 20)


@each_sampler
def test_nearly_all_of_five_captions_an_image_are_used(sampler):
    assert sampler(np.arange(1000) // 5, 16).size >= 0.95 * 1000


@each_sampler
def test_the_seed_decides_the_batches(sampler):
    groups = np.arange(60) // 2
    np.testing.assert_array_equal(sampler(groups, 6, 3), sampler(groups, 6, 3))
    assert not np.array_equal(sampler(groups, 6, 3), sampler(groups, 6, 4))


@each_sampler
def test_ids_of_groups_may_be_of_any_kind(sampler):
    groups = np.arange(60) // 2
    names = np.array([f"image {group}" for group in groups], dtype=object)
    assert sampler(names, 6).shape == sampler(groups, 6).shape


@each_sampler
def test_rows_left_out_differ_from_epoch_to_epoch(sampler):
    groups = np.arange(50) // 2
    counts = np.zeros(50)
    for epoch in range(300):
        counts[sampler(groups, 8, epoch).ravel()] += 1
    assert counts.max() < 300
    assert counts.std() < 0.05 * counts.mean()


def without_runs(groups, batch_size, seed):
    return clustered(groups, batch_size, seed, hard_fraction=0)


@pytest.mark.parametrize("sampler", [random, without_runs])
@pytest.mark.parametrize("captions", [1, 3])
def test_random_rows_bring_any_two_images_together_alike(sampler, captions):
    n_images, n_epochs = 24, 1800 // captions
    groups = np.arange(n_images * captions) // captions
    met = np.zeros((n_images, n_images))
    n_batches = 0
    for epoch in range(n_epochs):
        batches = groups[sampler(groups, 6, epoch)]
        n_batches += len(batches)
        for batch in batches:
            met[np.ix_(batch, batch)] += 1
    often = met[~np.eye(n_images, dtype=bool)] / (n_batches * 6 * 5 / (n_images * (n_images - 1)))
    assert often.mean() == pytest.approx(1)
    assert often.std() < 0.055  # 0.045 of it by chance


@quickly
@given(
    batch_size=st.integers(4, 12),
    group_size=st.integers(2, 4),
    hard_fraction=st.floats(0, 0.8),
    seed=st.integers(0, 999),
)
def test_the_hard_share_is_as_asked(batch_size, group_size, hard_fraction, seed):
    labels = np.arange(120) % 3
    batches = clustered(
        np.arange(120), batch_size, seed, labels=labels,
        group_size=group_size, hard_fraction=hard_fraction,
    )  # fmt: skip
    n_runs = round(hard_fraction * batch_size) // group_size
    assert runs_of(batches, labels, group_size)[:, :n_runs].all()


def test_rows_that_are_not_in_runs_are_random():
    labels = np.arange(4000) % 50
    batches = clustered(np.arange(4000), 40, labels=labels, group_size=5, hard_fraction=0.5)
    runs = runs_of(batches, labels, 5)
    assert runs[:, :4].all()
    assert not runs[:, 4:].any()
    assert len(np.unique(labels[batches[:, :20]])) == 50
    first = labels[batches[:, 0]]
    assert np.mean(labels[batches[:, 20:]] == first[:, None]) < 0.04


def test_with_several_captions_an_image_half_of_a_batch_is_still_hard():
    groups = np.arange(4000) // 5
    labels = groups % 20  # all captions of an image lie in one cluster
    batches = clustered(groups, 40, labels=labels, group_size=5, hard_fraction=0.5)
    assert runs_of(batches, labels, 5)[:, :4].all()


def test_clusters_that_are_too_small_give_fewer_runs_alike_in_all_batches():
    labels = np.repeat(np.arange(60), 2)
    labels[:20] = 0  # 5 runs of 4, one too few for 6 batches
    batches = clustered(np.arange(120), 20, labels=labels, group_size=4)
    assert len(batches) == 6
    assert np.count_nonzero(runs_of(batches, labels, 4)) < 5
    labels[:24] = 0
    batches = clustered(np.arange(120), 20, labels=labels, group_size=4)
    assert runs_of(batches, labels, 4)[:, 0].all()


@each_sampler
def test_too_few_groups_for_a_batch_are_counted(sampler):
    with pytest.raises(
        ValueError, match=r"batch_size=8 needs rows of as many groups, got 30 rows of 6 groups"
    ):
        sampler(np.arange(30) % 6, 8)


@each_sampler
def test_a_batch_of_one_is_refused(sampler):
    with pytest.raises(ValueError, match="batch_size must be at least 2, got 1: a row alone"):
        sampler(np.arange(6), 1)


def blobs(n_rows=60, n_blobs=3, seed=0):
    """Unit rows around a few directions, and which one each is around."""
    label = np.arange(n_rows) % n_blobs
    x = 5 * np.eye(8)[label] + rng(seed).normal(size=(n_rows, 8)) * 0.3
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), label


def same_partition(a, b):
    return len({*zip(a, b, strict=True)}) == len({*a}) == len({*b})


def test_clusters_can_be_of_images_of_texts_or_of_both():
    image, by_image = blobs()
    shuffled = rng(1).permutation(60)
    text, by_text = image[shuffled], by_image[shuffled]
    labels, sizes = B.cluster(image, text, 20, rng(), on="image")
    assert same_partition(labels, by_image)
    assert sizes.tolist() == [20, 20, 20]
    labels, _ = B.cluster(image, text, 20, rng(), on="text")
    assert same_partition(labels, by_text)
    both = by_image * 3 + by_text
    labels, sizes = B.cluster(image, text, 20, rng(), n_clusters=9)
    assert same_partition(labels, both)
    np.testing.assert_array_equal(sizes, np.bincount(labels))


def test_joint_features_have_unit_length(monkeypatch):
    seen = []
    fit = B.MiniBatchKMeans.fit_predict
    monkeypatch.setattr(
        B.MiniBatchKMeans, "fit_predict", lambda self, z: seen.append(z) or fit(self, z)
    )
    image, _ = blobs()
    B.cluster(image, image[::-1], 20, rng())
    np.testing.assert_allclose(np.linalg.norm(seen[0], axis=1), 1, rtol=1e-5)
    assert seen[0].dtype == np.float32


def test_there_are_as_many_clusters_as_batches():
    image, _ = blobs()
    assert len(B.cluster(image, image, 8, rng())[1]) == 7


def test_the_same_generator_gives_the_same_clusters():
    image = rng(0).normal(size=(80, 4))
    first, second, third = (B.cluster(image, image, 8, rng(s))[0] for s in (0, 0, 1))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, third)


def test_a_cluster_of_nearly_all_rows_is_warned_of_and_not_used():
    image, _ = blobs(60, 1)
    image[:3] *= -1
    with pytest.warns(ConvergenceWarning, match=r"one of 2 clusters holds 57 of 60 rows: this"):
        labels, sizes = B.cluster(image, image, 30, rng())
    assert labels is None
    assert sorted(sizes) == [3, 57]


def test_two_clusters_of_about_half_are_no_reason_to_warn():
    image, _ = blobs(60, 2)
    labels, sizes = B.cluster(image[:55], image[:55], 27, rng())
    assert labels is not None
    assert sorted(sizes) == [27, 28]


def test_fewer_rows_than_two_batches_are_counted():
    image, _ = blobs(39)
    with pytest.raises(
        ValueError, match=r"clusters need two batches at least, got 39 rows for batch_size=20"
    ):
        B.cluster(image, image, 20, rng())


@pytest.mark.parametrize("n_clusters", [1, 60, 61])
def test_a_number_of_clusters_that_makes_no_sense_is_refused(n_clusters):
    image, _ = blobs()
    with pytest.raises(
        ValueError,
        match=f"n_clusters must be at least 2 and less than the 60 rows, got {n_clusters}",
    ):
        B.cluster(image, image, 20, rng(), n_clusters=n_clusters)


def test_an_unknown_thing_to_cluster_is_named():
    image, _ = blobs()
    with pytest.raises(ValueError, match="cluster_on must be one of 'joint', 'image', 'text', got"):
        B.cluster(image, image, 20, rng(), on="both")


@pytest.mark.parametrize(
    ("n_parts", "batch_size", "expected"), [(1, 128, 10), (4, 128, 8), (1, 6, 6)]
)
def test_a_batch_has_no_more_rows_than_there_are_groups(n_parts, batch_size, expected):
    batching = Batching(batch_size, "joint", None, 2, 0.5)
    groups = np.arange(30) % 10
    fewer = B.at_most_all_groups(batching, groups, n_parts)
    assert fewer == Batching(expected, "joint", None, 2, 0.5)
    assert B.deal(groups, fewer, np.random.default_rng(0)).shape == (30 // expected, expected)


def test_each_process_needs_a_row_of_its_own():
    with pytest.raises(ValueError, match="rows of 4 groups at least, got 9 rows of 3"):
        B.at_most_all_groups(Batching(8, "joint", None, 2, 0.5), np.arange(9) % 3, 4)
