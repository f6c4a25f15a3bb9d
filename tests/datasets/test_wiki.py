import os

import numpy as np
import pandas as pd
import pytest
from scipy.io import savemat

from skhash.datasets import _wiki, fetch_wiki

SHARED = os.environ.get("SKHASH_DATA") or None  # before the fixtures remove it
CATEGORIES = [
    "art", "biology", "geography", "history", "literature",
    "media", "music", "royalty", "sport", "warfare",
]  # fmt: skip
TARGET = {"tr": [0, 9, 4, 4, 2], "te": [1, 9, 0]}
OFFICIAL = [
    "categories.list",
    "raw_features.mat",
    "testset_txt_img_cat.list",
    "trainset_txt_img_cat.list",
]


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(0)
    widths = {"I": 128, "T": 10, "T_tfidf": 1000}
    return {
        f"{name}_{split}": 3 * rng.random((len(target), width))
        for name, width in widths.items()
        for split, target in TARGET.items()
    }


@pytest.fixture
def write(arrays):
    """Write a tiny data set in the official format; keywords replace variables."""

    def write(folder, *, tfidf=False, **replaced):
        folder.mkdir(parents=True, exist_ok=True)
        official = {name: arrays[name] for name in ("I_tr", "T_tr", "I_te", "T_te")} | replaced
        official = {name: matrix for name, matrix in official.items() if matrix is not None}
        savemat(folder / "raw_features.mat", official)
        if tfidf:
            savemat(folder / "raw_features_with_tfidf.mat", arrays)
        (folder / "categories.list").write_text("\n".join(CATEGORIES) + "\n")
        for split, name in [("tr", "trainset"), ("te", "testset")]:
            lines = [
                f"{split}text{i}-1\t{split}image{i}\t{c + 1}\n" for i, c in enumerate(TARGET[split])
            ]
            (folder / f"{name}_txt_img_cat.list").write_text("".join(lines))
        return folder

    return write


@pytest.fixture
def wiki(tmp_path, write):
    return write(tmp_path / "wiki")


@pytest.mark.parametrize(
    ("subset", "splits"), [("train", ["tr"]), ("test", ["te"]), ("all", ["tr", "te"])]
)
def test_subset_has_its_rows_in_order(wiki, arrays, subset, splits):
    bunch = fetch_wiki(data_home=wiki, subset=subset)
    blocks = [np.hstack([arrays[f"I_{split}"], arrays[f"T_{split}"]]) for split in splits]
    np.testing.assert_array_equal(bunch.data, np.vstack(blocks).astype(np.float32))
    assert bunch.data.dtype == np.float32
    np.testing.assert_array_equal(bunch.target, np.concatenate([TARGET[split] for split in splits]))
    assert bunch.target.dtype == np.int64
    rows = [(split, row) for split in splits for row in range(len(TARGET[split]))]
    assert list(bunch.text_id) == [f"{split}text{row}-1" for split, row in rows]
    assert list(bunch.image_id) == [f"{split}image{row}" for split, row in rows]


def test_names_say_the_blocks(wiki):
    bunch = fetch_wiki(data_home=wiki)
    assert bunch.target_names == CATEGORIES
    assert bunch.n_image_features == 128
    assert len(bunch.feature_names) == bunch.data.shape[1] == 138
    assert bunch.feature_names[:128] == [f"image__sift{i}" for i in range(128)]
    assert bunch.feature_names[128:] == [f"text__topic{i}" for i in range(10)]
    assert "ACM Multimedia 2010" in bunch.DESCR


def test_as_frame_names_the_columns(wiki):
    frame = fetch_wiki(data_home=wiki, as_frame=True).data
    bunch = fetch_wiki(data_home=wiki)
    pd.testing.assert_frame_equal(frame, pd.DataFrame(bunch.data, columns=bunch.feature_names))


def test_tfidf_replaces_the_topics(tmp_path, write, arrays):
    folder = write(tmp_path / "wiki", tfidf=True)
    bunch = fetch_wiki(data_home=folder, text="tfidf", subset="test")
    expected = np.hstack([arrays["I_te"], arrays["T_tfidf_te"]]).astype(np.float32)
    np.testing.assert_array_equal(bunch.data, expected)
    assert bunch.feature_names[127:129] == ["image__sift127", "text__word0"]
    assert len(bunch.feature_names) == 1128


def test_windows_line_ends_are_read(wiki):
    for path in wiki.glob("*.list"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    bunch = fetch_wiki(data_home=wiki)
    np.testing.assert_array_equal(bunch.target, TARGET["tr"])
    assert bunch.target_names == CATEGORIES


def test_missing_files_raise(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder holds all of raw_features\.mat, "):
        fetch_wiki(data_home=tmp_path, download_if_missing=False)


def test_missing_tfidf_is_not_downloaded(wiki):
    with pytest.raises(
        FileNotFoundError, match=r"with_tfidf\.mat, .*: there is no download of them"
    ):
        fetch_wiki(data_home=wiki, text="tfidf")


def test_official_archive_is_downloaded(wiki, serve_zip, home, monkeypatch):
    content = {f"wikipedia_dataset/{name}": (wiki / name).read_bytes() for name in OFFICIAL}
    url = serve_zip({"wikipedia_dataset/images/art/trimage0.jpg": b"not wanted", **content})
    monkeypatch.setattr(_wiki, "ARCHIVE_URL", url)
    np.testing.assert_array_equal(fetch_wiki().target, TARGET["tr"])
    assert sorted(os.listdir(home / "skhash_data" / "wiki")) == OFFICIAL


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"subset": "valid"}, "subset must be one of 'train', 'test', 'all', got 'valid'"),
        ({"subset": ["train"]}, r"subset must be one of .*, got \['train'\]"),
        ({"text": "bow"}, "text must be one of 'lda', 'tfidf', got 'bow'"),
    ],
)
def test_unknown_option_raises(wiki, option, message):
    with pytest.raises(ValueError, match=message):
        fetch_wiki(data_home=wiki, **option)


def test_data_home_that_is_no_path_raises():
    with pytest.raises(TypeError, match="data_home must be a path, got 3"):
        fetch_wiki(data_home=3)


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"I_tr": None}, "raw_features.mat has no matrix I_tr"),
        (
            {"T_tr": "words"},
            "raw_features.mat cannot be read .*T_tr' is not a real matrix, its class is 4",
        ),
        (
            {"T_tr": np.ones((5, 9))},
            r"raw_features.mat holds T_tr of shape \(5, 9\), not \(n, 10\)",
        ),
        ({"I_tr": np.full((5, 128), np.nan)}, "raw_features.mat holds values in I_tr that are not"),
        (
            {"I_tr": np.ones((4, 128))},
            "raw_features.mat holds 4 images and 5 texts, but .* lists 5",
        ),
    ],
)
def test_wrong_matrix_raises_and_names_the_file(tmp_path, write, replaced, message):
    folder = write(tmp_path / "wiki", **replaced)
    with pytest.raises(ValueError, match=message):
        fetch_wiki(data_home=folder)


@pytest.mark.parametrize("content", [b"", b"no matrix at all", "truncated"])
def test_corrupt_mat_file_raises_and_names_it(wiki, content):
    path = wiki / "raw_features.mat"
    path.write_bytes(path.read_bytes()[:2000] if content == "truncated" else content)
    with pytest.raises(ValueError, match=r"raw_features\.mat cannot be read .*: replace it"):
        fetch_wiki(data_home=wiki)


@pytest.mark.parametrize(
    "line",
    ["text\timage\t11", "text\timage\t0", "text\timage\tart", "text image 3", "", "\xff\t\x00"],
)
def test_wrong_line_of_a_list_raises_and_names_it(wiki, line):
    path = wiki / "trainset_txt_img_cat.list"
    lines = path.read_text().splitlines()
    path.write_bytes("\n".join([lines[0], line, *lines[2:]]).encode("latin-1"))
    with pytest.raises(ValueError, match=r"trainset_txt_img_cat\.list has a line 2 that is not"):
        fetch_wiki(data_home=wiki)


def test_list_without_lines_raises(wiki):
    (wiki / "trainset_txt_img_cat.list").write_text("")
    with pytest.raises(ValueError, match="lists 0 pairs"):
        fetch_wiki(data_home=wiki)


def test_wrong_categories_raise_and_name_the_file(wiki):
    (wiki / "categories.list").write_text("art\nsport\n")
    with pytest.raises(ValueError, match=r"categories\.list holds 2 category names, not 10"):
        fetch_wiki(data_home=wiki)


needs_data = pytest.mark.skipif(
    SHARED is None, reason="needs the Wiki data set in the folder that SKHASH_DATA names"
)


@pytest.fixture
def shared(monkeypatch):
    monkeypatch.setenv("SKHASH_DATA", SHARED)


@needs_data
@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize(("subset", "n_rows"), [("train", 2173), ("test", 693), ("all", 2866)])
def test_official_files_have_the_published_sizes(subset, n_rows):
    bunch = fetch_wiki(subset=subset, download_if_missing=False)
    assert bunch.data.shape == (n_rows, 138)
    assert bunch.target.shape == bunch.image_id.shape == bunch.text_id.shape == (n_rows,)
    assert set(bunch.target) == set(range(10))
    assert bunch.target_names == CATEGORIES
    assert "2,173 for training and 693 for testing" in bunch.DESCR


@needs_data
@pytest.mark.usefixtures("shared")
def test_official_features_are_unscaled_histograms():
    bunch = fetch_wiki(subset="all", download_if_missing=False)
    for block in (bunch.data[:, :128], bunch.data[:, 128:]):
        assert block.min() >= 0
        np.testing.assert_allclose(block.sum(axis=1), 1, atol=1e-4)


@needs_data
@pytest.mark.usefixtures("shared")
def test_official_training_and_test_texts_are_disjoint():
    train, test = (
        fetch_wiki(subset=subset, download_if_missing=False) for subset in ("train", "test")
    )
    assert len(set(train.text_id)) == 2173
    assert set(train.text_id).isdisjoint(test.text_id)


@needs_data
@pytest.mark.usefixtures("shared")
def test_official_images_are_those_of_the_tfidf_file():
    try:
        tfidf = fetch_wiki(text="tfidf", download_if_missing=False)
    except FileNotFoundError:
        pytest.skip("raw_features_with_tfidf.mat is not part of the official set")
    lda = fetch_wiki(download_if_missing=False)
    assert tfidf.data.shape == (2173, 1128)
    np.testing.assert_array_equal(tfidf.data[:, :128], lda.data[:, :128])
