import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from skhash.datasets import make_scenes
from skhash.features import PatchFeaturizer


@pytest.fixture(scope="module")
def pictures():
    return list(make_scenes(12, image_size=32, random_state=0).frame["image"])


def featurizer(**parameters):
    return PatchFeaturizer(**{"n_patterns": 8, "image_size": 32, "random_state": 0, **parameters})


def test_features_equal_the_formula(pictures):
    model = featurizer().fit(pictures)
    pixels = np.asarray(pictures[0], dtype=float) / 255
    activations = []
    for i in range(0, 32 - 8 + 1, 3):
        for j in range(0, 32 - 8 + 1, 3):
            patch = pixels[i : i + 8, j : j + 8].transpose(2, 0, 1).ravel()
            z = (patch - patch.mean() - model.mean_) @ model.whitening_
            distance = np.sqrt(((z - model.patterns_) ** 2).sum(axis=1))
            activations.append(np.maximum(distance.mean() - distance, 0))
    np.testing.assert_allclose(
        model.transform(pictures[:1])[0], np.mean(activations, axis=0), atol=1e-4
    )


def test_the_same_seed_gives_the_same_features(pictures):
    a, b = featurizer().fit(pictures), clone(featurizer()).fit(pictures)
    np.testing.assert_array_equal(a.transform(pictures), b.transform(pictures))


def test_whitening_brings_large_variances_to_one_and_leaves_small_ones_small(pictures):
    model = featurizer(n_patches=10**6).fit(pictures)
    patches = np.concatenate([model._patches(np.asarray(image)) for image in pictures])
    before = np.linalg.eigvalsh(np.cov(patches, rowvar=False))
    after = np.linalg.eigvalsh(np.cov(patches @ model.whitening_, rowvar=False))
    np.testing.assert_allclose(after, np.sort(before / (before + 1e-3)), atol=1e-3)


def test_pictures_of_any_size_and_kind_are_read(pictures, tmp_path):
    path = tmp_path / "picture.png"
    pictures[0].save(path)
    model = featurizer().fit(pictures)
    expected = model.transform(pictures[:1])
    for item in (path, str(path), path.read_bytes(), np.asarray(pictures[0])):
        np.testing.assert_array_equal(model.transform([item]), expected)
    assert model.transform([pictures[0].resize((50, 20))]).shape == (1, 8)


def test_columns_have_names_and_become_a_dataframe(pictures):
    frame = featurizer().set_output(transform="pandas").fit_transform(pictures)
    assert list(frame.columns[:2]) == ["patchfeaturizer0", "patchfeaturizer1"]


def test_a_broken_picture_is_named_by_row_and_path(pictures, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not a picture")
    with pytest.raises(ValueError, match=r"row 1 .*broken\.png.*repair or drop it"):
        featurizer().fit([pictures[0], broken])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_patterns": 0}, "n_patterns must be at least 1, got 0"),
        ({"patch_size": 33}, "patch_size=33 is more than image_size=32"),
        ({"n_patterns": 60, "n_patches": 12}, "n_patterns=60 is more than the 12 patches drawn"),
    ],
)
def test_a_parameter_out_of_range_is_named(pictures, parameters, message):
    with pytest.raises(ValueError, match=message):
        featurizer(**parameters).fit(pictures)


def test_nothing_is_transformed_before_fit(pictures):
    with pytest.raises(NotFittedError):
        featurizer().transform(pictures)


@pytest.mark.parametrize("random_state", [None, 0])
def test_the_global_generator_is_left_alone(pictures, random_state):
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - the global generator is meant
    featurizer(random_state=random_state).fit(pictures)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@pytest.fixture
def opened(monkeypatch):
    """How many pictures have been opened."""
    from skhash.features import _patches

    calls, open_image = [], _patches.open_image
    monkeypatch.setattr(_patches, "open_image", lambda image: calls.append(1) or open_image(image))
    return calls


def test_each_distinct_picture_is_opened_once(pictures, opened, tmp_path):
    paths = [tmp_path / f"{row}.png" for row in range(4)]
    for path, picture in zip(paths, pictures, strict=False):
        picture.save(path)
    features = featurizer().fit_transform([*paths, *paths])
    assert len(opened) == 4
    np.testing.assert_array_equal(features, np.tile(features[:4], (2, 1)))
    np.testing.assert_array_equal(features[:4], featurizer().fit_transform(pictures[:4]))


def test_pictures_that_are_too_many_to_keep_are_opened_again(pictures, opened, monkeypatch):
    expected = featurizer().fit_transform(pictures)
    assert len(opened) == len(pictures)
    monkeypatch.setattr("skhash.features._patches._IN_MEMORY", 0)
    np.testing.assert_array_equal(featurizer().fit_transform(pictures), expected)
    assert len(opened) == 3 * len(pictures)
    np.testing.assert_array_equal(featurizer().fit(pictures).transform(pictures), expected)


def test_pictures_that_cannot_be_read_become_nan_and_are_listed(pictures, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not a picture")
    rows = [broken, *pictures, broken]
    model = featurizer(on_error="nan")
    message = r"the images of 2 of 14 rows cannot be read and became NaN.*row 0 \(.*broken\.png'\)"
    with pytest.warns(UserWarning, match=message) as caught:
        features = model.fit_transform(rows)
    assert [warning.filename for warning in caught] == [__file__]
    assert model.errors_["row"].tolist() == [0, 13]
    assert np.isnan(features[[0, 13]]).all()
    np.testing.assert_array_equal(features[1:-1], featurizer().fit_transform(pictures))
    with pytest.warns(UserWarning, match="cannot be read and were left out"):
        model.fit(rows)
    assert model.errors_["row"].tolist() == [0, 13]
    model.transform(pictures)
    assert model.errors_.empty


def test_a_dictionary_needs_one_picture_that_can_be_read():
    with pytest.raises(ValueError, match="none of the images can be read, the first one: Unid"):
        featurizer(on_error="nan").fit([b"not a picture"])


def test_a_bar_shows_the_pictures(pictures, capsys):
    model = featurizer(verbose=1).fit(pictures)
    assert "12/12" in capsys.readouterr().err
    model.set_params(verbose=0).transform(pictures)
    assert capsys.readouterr().err == ""
