"""Tables and arrays that a hasher takes or refuses, shown on CFRH."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from PIL import Image
from scipy import sparse
from sklearn import config_context

from skhash import make_table
from skhash.hashing import CFRHHasher
from skhash.hashing._inputs import check_block


@pytest.mark.parametrize("container", [sparse.csr_matrix, sparse.csr_array, pd.DataFrame])
def test_sparse_and_unnamed_tables_train_like_dense_arrays(hasher, pairs, container):
    X = container(pairs)
    if isinstance(X, pd.DataFrame):
        X.columns = [f"column{i}" for i in range(15)]
    np.testing.assert_array_equal(hasher().fit_transform(X), hasher().fit_transform(pairs))


def test_memory_mapped_features_train_like_arrays(hasher, pairs, tmp_path):
    np.save(tmp_path / "features.npy", pairs)
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    np.testing.assert_array_equal(hasher().fit_transform(mapped), hasher().fit_transform(pairs))


def test_the_column_split_of_a_column_transformer_is_understood(hasher, pairs):
    from sklearn.compose import ColumnTransformer
    from sklearn.preprocessing import StandardScaler

    raw = pd.DataFrame(pairs, columns=[f"c{i}" for i in range(15)])
    split = ColumnTransformer(
        [("image", StandardScaler(), list(raw)[:6]), ("text", "passthrough", list(raw)[6:])]
    ).set_output(transform="pandas")
    assert hasher(n_image_features=None).fit(split.fit_transform(raw)).n_image_features_ == 6


def test_an_array_without_a_split_names_both_remedies(pairs):
    with pytest.raises(ValueError, match=r"set n_image_features .* or give a dataframe"):
        CFRHHasher().fit(pairs)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array, np.float64])
@pytest.mark.parametrize("place", ["fit", "transform", "encode_image"])
def test_rows_that_are_not_finite_are_listed(hasher, pairs, value, container, place, monkeypatch):
    monkeypatch.setattr("skhash.hashing._inputs.CHUNK", 8)
    bad = pairs.copy()
    bad[[4, 5, 20, 21, 22, 29], 2] = value
    model = hasher() if place == "fit" else hasher().fit(pairs)
    bad = container(bad[:, :6] if place == "encode_image" else bad)
    message = r"NaN or infinity in 6 of 30 rows \(rows 4, 5, 20, 21, 22, \.\.\.\): drop these rows"
    with pytest.raises(ValueError, match=message) as raised:
        getattr(model, place)(bad)
    assert "featurizer with on_error='nan', its errors_" in str(raised.value)
    assert "HistGradientBoosting" not in str(raised.value)


def test_features_are_not_checked_where_scikit_learn_may_assume_that_they_are_finite(hasher, pairs):
    model = hasher().fit(pairs)
    bad = np.full((2, 6), np.nan)
    with config_context(assume_finite=True):
        np.testing.assert_array_equal(check_block(model, bad, "image"), bad)


@pytest.mark.parametrize(("kept", "missing"), [("image__", "text"), ("text__", "image")])
def test_fit_needs_both_blocks(table, kept, missing):
    with pytest.raises(ValueError, match=rf"fit needs both blocks, got no {missing}__\* columns"):
        CFRHHasher().fit(table.filter(like=kept))


def test_text_before_image_is_the_wrong_order(table):
    with pytest.raises(ValueError, match="wrong order: all image__"):
        CFRHHasher().fit(table[list(table.columns[::-1])])


def test_unknown_columns_are_named(table):
    with pytest.raises(ValueError, match=r"must be named image__\* or text__\*, got 'audio__0'"):
        CFRHHasher().fit(table.rename(columns={"image__0": "audio__0"}))


def test_raw_columns_ask_for_a_featurizer():
    raw = pd.DataFrame({"image": ["a.jpg", "b.jpg"], "text": ["a", "b"]})
    with pytest.raises(ValueError, match=r"'image', 'text'.*CrossModalFeaturizer"):
        CFRHHasher().fit(raw)


def test_columns_of_one_block_must_be_those_of_fit(fitted, table):
    text = table.filter(like="text__")
    with pytest.raises(ValueError, match=r"text columns must be those seen in fit.*another order"):
        fitted.transform(text[list(text.columns[::-1])])
    with pytest.raises(ValueError, match=r"missing: \['text__8'\]"):
        fitted.transform(text.iloc[:, :-1])
    with pytest.raises(ValueError, match=r"unknown: \['text__dog'\]"):
        fitted.transform(text.rename(columns={"text__0": "text__dog"}))


def test_another_width_is_refused_and_the_way_to_one_modality_named(hasher, pairs):
    model = hasher().fit(pairs)
    with pytest.raises(ValueError, match=r"X has 9 features, .* expecting 15 .* encode_image or"):
        model.transform(pairs[:, 6:])
    with pytest.raises(ValueError, match=r"text block has 8 features, .* expecting 9 features"):
        model.encode_text(pairs[:, 7:])


def test_one_row_is_too_few(hasher, pairs):
    with pytest.raises(ValueError, match=r"1 sample.*minimum of 2"):
        hasher().fit(pairs[:1])


@pytest.mark.parametrize("kind", ["csc", "coo", "lil"])
def test_sparse_features_of_another_kind_are_refused(hasher, pairs, kind):
    with pytest.raises(TypeError, match=f"must be CSR, .* got {kind}: use X.tocsr"):
        hasher().fit(sparse.csr_matrix(pairs).asformat(kind))


def test_a_number_of_image_columns_that_contradicts_the_names_is_refused(hasher, pairs, table):
    message = r"n_image_features=5 contradicts the names .*'image__5' as column 5 and 6 image"
    with pytest.raises(ValueError, match=message):
        hasher(n_image_features=5).fit(table)
    with pytest.raises(ValueError, match=r"n_image_features=7 contradicts .*'text__0' as column 6"):
        hasher(n_image_features=7).fit(table)
    assert hasher(n_image_features=6).fit(table).n_image_features_ == 6


def test_names_that_contradict_the_split_of_fit_are_refused(hasher, pairs, table):
    model = hasher().fit(pairs)
    other = make_table(image=pairs[:, :7], text=pairs[:, 7:])
    with (
        pytest.warns(UserWarning, match="was fitted without"),
        pytest.raises(ValueError, match="n_image_features=6 contradicts the names"),
    ):
        model.transform(other)
    with pytest.raises(ValueError, match=r"image block has a column of the other, got 'text__0'"):
        model.encode_image(table.filter(like="text__").iloc[:, :6])


def test_a_name_tells_its_block_behind_a_prefix(hasher, pairs, table):
    named = table.set_axis([f"union__{name}" for name in table], axis=1)
    model = hasher(n_image_features=None).fit(named)
    assert model.n_image_features_ == 6
    np.testing.assert_array_equal(model.transform(named), hasher().fit_transform(pairs))
    with pytest.raises(ValueError, match="n_image_features=5 contradicts the names"):
        hasher(n_image_features=5).fit(named)


def test_blocks_that_are_no_halves_of_a_table_are_refused(hasher, table):
    parts = [table.set_axis([f"{step}__{name}" for name in table], axis=1) for step in "ab"]
    union = pd.concat(parts, axis=1)
    with pytest.raises(ValueError, match="wrong order: all image__"):
        hasher(n_image_features=None).fit(union)
    with pytest.raises(ValueError, match="n_image_features=15 contradicts the names"):
        hasher(n_image_features=15).fit(union)


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix])
def test_features_beyond_float32_are_refused_wherever_they_come(hasher, pairs, make):
    large = pairs.astype(np.float64)
    large[4, 2] = 1e39
    large, fitted = make(large), hasher().fit(pairs)
    calls = {
        "fit": lambda: hasher().fit(large),
        "partial_fit": lambda: hasher().partial_fit(large),
        "a later partial_fit": lambda: fitted.partial_fit(large),
        "X_val": lambda: hasher().fit(pairs, X_val=large),
        "transform": lambda: fitted.transform(large),
        "encode_image": lambda: fitted.encode_image(large[:, :6]),
        "score": lambda: fitted.score(large),
        "affinity": lambda: fitted.affinity(large),
        "affinity before fit": lambda: hasher().affinity(large),
    }
    for name, call in calls.items():
        with pytest.raises(ValueError, match="beyond those of float32") as refusal:
            call()
        assert "learning_rate" not in str(refusal.value), name


@pytest.mark.filterwarnings("ignore:.*codes have collapsed")
def test_one_row_that_has_all_the_spread_is_named(hasher, pairs):
    pairs = pairs.copy()
    pairs[4] = 1e20
    with pytest.warns(UserWarning, match=r"1 rows of the .* block .* \(row 4\)"):
        hasher().fit(pairs)


@pytest.mark.parametrize(
    ("fit", "what"),
    [
        (lambda hasher, image, text: hasher().fit(image, text), "leaves no text block"),
        (lambda hasher, image, text: hasher(n_image_features=None).fit(image, text), "an array"),
        (lambda hasher, image, text: hasher().fit([image, text]), "X is a list of arrays"),
        (lambda hasher, image, text: hasher().fit({"image": image, "text": text}), "X is a dict"),
    ],
)
def test_blocks_that_are_given_apart_go_into_one_table(hasher, pairs, fit, what):
    with pytest.raises(ValueError, match=rf"{what}.* go into one X, fit\(skhash\.make_table\("):
        fit(hasher, pairs[:, :6], pairs[:, 6:])


@pytest.mark.parametrize("item", ["a red shirt", Image.new("RGB", (4, 4))])
@pytest.mark.parametrize(
    "make", [list, tuple, pd.Series, pd.Index, pl.Series, lambda items: items[0]]
)
def test_raw_items_are_encoded_by_a_pipeline(hasher, pairs, make, item):
    fitted = hasher().fit(pairs)
    for encode in (fitted.encode_text, fitted.transform):
        with pytest.raises(ValueError, match="features are needed, got raw items, such as"):
            encode(make([item]))
