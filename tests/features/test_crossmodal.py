import pickle

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sklearn
from scipy import sparse
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction import DictVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import (
    check_estimator_cloneable,
    check_get_params_invariance,
    check_no_attributes_set_in_init,
    check_parameters_default_constructible,
    check_set_params,
)

from skhash import make_table
from skhash.features import BoWTextFeaturizer, CLIPFeaturizer, CrossModalFeaturizer

# A bag of words is a cheap featurizer of file names as well.
NAMES = ["red dog", "blue cat", "red cat", "green dog"]
TEXTS = ["two dogs on a beach", "a cat", "cats and cats", "a dog"]


def make_featurizer(**options):
    return CrossModalFeaturizer(BoWTextFeaturizer(), BoWTextFeaturizer(), **options)


def make_frame(library=pd):
    return library.DataFrame({"image": NAMES, "text": TEXTS})


def make_pairs():
    return np.array([NAMES, TEXTS], dtype=object).T


@pytest.fixture
def expected():
    blocks = [BoWTextFeaturizer().fit_transform(items).toarray() for items in (NAMES, TEXTS)]
    return np.hstack(blocks)


IMAGE_COLUMNS = [f"image__{word}" for word in ("blue", "cat", "dog", "green", "red")]
TEXT_COLUMNS = [f"text__{word}" for word in ("beach", "cat", "cats", "dog", "dogs")]


@pytest.mark.parametrize(
    "check",
    [
        check_estimator_cloneable,
        check_get_params_invariance,
        check_no_attributes_set_in_init,
        check_parameters_default_constructible,
        check_set_params,
    ],
)
def test_parameters_of_the_branches_keep_the_conventions(check):
    check("CrossModalFeaturizer", make_featurizer())


def test_a_pandas_table_gives_a_pandas_table(expected):
    X = make_frame().set_index(pd.Index(list("abcd")))
    features = make_featurizer().fit_transform(X)
    assert isinstance(features, pd.DataFrame)
    assert list(features.columns) == IMAGE_COLUMNS + TEXT_COLUMNS
    assert list(features.index) == list("abcd")
    assert (features.dtypes == np.float32).all()
    np.testing.assert_array_equal(features, expected)


def test_a_polars_table_gives_a_polars_table(expected):
    features = make_featurizer().fit_transform(make_frame(pl))
    assert isinstance(features, pl.DataFrame)
    assert features.columns == IMAGE_COLUMNS + TEXT_COLUMNS
    np.testing.assert_array_equal(features.to_numpy(), expected)


def test_a_pyarrow_table_gives_a_pyarrow_table(expected):
    features = make_featurizer().fit_transform(pa.table({"image": NAMES, "text": TEXTS}))
    assert isinstance(features, pa.Table)
    assert features.column_names == IMAGE_COLUMNS + TEXT_COLUMNS
    np.testing.assert_array_equal(features.to_pandas(), expected)


def test_an_array_gives_an_array(expected):
    features = make_featurizer().fit_transform(make_pairs())
    assert isinstance(features, np.ndarray)
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features, expected)


@pytest.mark.parametrize(("name", "kind"), [("pandas", pd.DataFrame), ("polars", pl.DataFrame)])
@pytest.mark.parametrize("X", [make_frame(), make_frame(pl), make_pairs()])
def test_set_output_overrides_the_container(X, name, kind, expected):
    featurizer = clone(make_featurizer().set_output(transform=name))
    features = featurizer.fit(X).transform(X)
    assert isinstance(features, kind)
    assert list(features.columns) == IMAGE_COLUMNS + TEXT_COLUMNS
    np.testing.assert_array_equal(features.to_numpy(), expected)


def test_the_global_container_is_heard_and_does_not_reach_the_branches(expected):
    with sklearn.config_context(transform_output="pandas"):
        features = make_featurizer().fit_transform(make_pairs())
    assert list(features.columns) == IMAGE_COLUMNS + TEXT_COLUMNS
    np.testing.assert_array_equal(features, expected)


def test_a_branch_may_give_a_dataframe(expected):
    branch = BoWTextFeaturizer(sparse_output=False).set_output(transform="polars")
    features = CrossModalFeaturizer(branch, branch).fit_transform(make_pairs())
    np.testing.assert_array_equal(features, expected)


def test_fit_then_transform_equals_fit_transform():
    X = make_frame()
    once = make_featurizer().fit_transform(X)
    pd.testing.assert_frame_equal(make_featurizer().fit(X).transform(X), once)


def test_transform_encodes_the_blocks_that_are_there():
    X = make_frame()
    featurizer = make_featurizer().fit(X)
    both = featurizer.transform(X)
    for block, columns in [("image", IMAGE_COLUMNS), ("text", TEXT_COLUMNS)]:
        pd.testing.assert_frame_equal(featurizer.transform(X[[block]]), both[columns])


def test_the_images_come_first_whatever_the_order_of_the_columns(expected):
    features = make_featurizer().fit_transform(make_frame()[["text", "image"]])
    np.testing.assert_array_equal(features, expected)


def test_encode_image_and_encode_text_give_the_blocks(expected):
    featurizer = make_featurizer().fit(make_frame())
    for encode, items, part in [
        (featurizer.encode_image, NAMES, expected[:, :5]),
        (featurizer.encode_text, TEXTS, expected[:, 5:]),
    ]:
        block = encode(items)
        assert isinstance(block, np.ndarray)
        assert block.dtype == np.float32
        np.testing.assert_array_equal(block, part)


def test_the_columns_can_have_other_names(expected):
    X = make_frame().rename(columns={"image": "file", "text": "caption"})
    featurizer = make_featurizer(image_column="file", text_column="caption")
    np.testing.assert_array_equal(featurizer.fit_transform(X), expected)


def test_attributes_of_a_table_and_then_of_an_array():
    featurizer = make_featurizer().fit(make_frame())
    assert featurizer.n_image_features_ == 5
    assert featurizer.n_features_in_ == 2
    assert list(featurizer.feature_names_in_) == ["image", "text"]
    assert list(featurizer.get_feature_names_out()) == IMAGE_COLUMNS + TEXT_COLUMNS
    featurizer.fit(make_pairs())
    assert not hasattr(featurizer, "feature_names_in_")


def test_the_branches_are_cloned():
    branch = BoWTextFeaturizer()
    featurizer = CrossModalFeaturizer(branch, branch).fit(make_frame())
    assert not hasattr(branch, "vocabulary_")
    assert featurizer.image_.vocabulary_ != featurizer.text_.vocabulary_


def test_a_branch_without_names_is_numbered():
    lengths = FunctionTransformer(lambda texts: np.array([[len(text), 1] for text in texts]))
    featurizer = CrossModalFeaturizer(lengths, make_pipeline(lengths, PCA(1)))
    features = featurizer.fit(make_frame()).transform(make_frame())
    assert list(features.columns) == ["image__0", "image__1", "text__0"]
    np.testing.assert_array_equal(features["image__0"], [len(name) for name in NAMES])


def test_a_branch_may_be_a_pipeline_with_names():
    branch = make_pipeline(BoWTextFeaturizer(sparse_output=False), PCA(2))
    features = CrossModalFeaturizer(branch, BoWTextFeaturizer()).fit_transform(make_frame())
    assert list(features.columns) == ["image__pca0", "image__pca1", *TEXT_COLUMNS]


def test_a_branch_may_be_any_transformer_of_rows():
    words = [{"n": 3.0}, {"n": 4.0}, {"n": 5.0}, {"m": 1.0}]
    table = make_table(image=words, text=TEXTS)
    features = CrossModalFeaturizer(DictVectorizer()).fit_transform(table)
    assert list(features.columns)[:2] == ["image__m", "image__n"]


def test_a_frozen_branch_stays_as_it_is(expected):
    image = FrozenEstimator(BoWTextFeaturizer().fit(NAMES))
    text = FrozenEstimator(BoWTextFeaturizer().fit(TEXTS))
    featurizer = CrossModalFeaturizer(image, text).fit(make_frame()[:1])
    np.testing.assert_array_equal(featurizer.transform(make_frame()), expected)


def test_features_in_the_table_pass_unchanged():
    vectors = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    X = make_table(image=vectors, text=TEXTS)
    featurizer = CrossModalFeaturizer().fit(X)
    features = featurizer.transform(X)
    assert featurizer.image_ == "passthrough"
    assert list(features.columns) == [f"image__{j}" for j in range(3)] + TEXT_COLUMNS
    np.testing.assert_array_equal(features.iloc[:, :3], vectors)
    np.testing.assert_array_equal(featurizer.encode_image(vectors), vectors)


def test_features_of_both_blocks_keep_their_names():
    X = pd.DataFrame({"text__a": [1.0], "image__b": [2.0]})
    features = CrossModalFeaturizer().fit_transform(X)
    assert features.to_dict("list") == {"image__b": [2.0], "text__a": [1.0]}


@pytest.mark.parametrize("library", [pd, pl])
def test_a_column_of_vectors_is_stacked(library):
    vectors = np.arange(12.0).reshape(4, 3)
    X = library.DataFrame({"image": list(vectors), "text": TEXTS})
    featurizer = CrossModalFeaturizer("passthrough").fit(X)
    features = featurizer.transform(X)
    assert list(features.columns)[:3] == ["image__0", "image__1", "image__2"]
    np.testing.assert_array_equal(features.to_numpy()[:, :3], vectors)
    np.testing.assert_array_equal(featurizer.encode_image(vectors), vectors)
    np.testing.assert_array_equal(featurizer.encode_image(list(vectors)), vectors)


def test_rows_of_nan_pass():
    X = make_table(image=np.array([[np.nan, np.nan], [1, 2]]), text=["a dog", "a cat"])
    assert np.isnan(CrossModalFeaturizer().fit_transform(X).to_numpy()[0, :2]).all()


@pytest.mark.parametrize("X", [make_frame(), make_pairs()])
def test_sparse_output_is_csr(X, expected):
    featurizer = make_featurizer(sparse_output=True)
    for features in (featurizer.fit_transform(X), featurizer.transform(X)):
        assert sparse.issparse(features)
        assert features.format == "csr"
        assert features.dtype == np.float32
        np.testing.assert_array_equal(features.toarray(), expected)
    assert featurizer.encode_text(TEXTS).format == "csr"


def test_sparse_output_joins_dense_and_sparse_blocks():
    X = make_table(image=np.eye(4), text=TEXTS)
    features = CrossModalFeaturizer(sparse_output=True).fit_transform(X)
    np.testing.assert_array_equal(features.toarray()[:, :4], np.eye(4))


def test_sparse_output_refuses_to_be_a_dataframe():
    featurizer = make_featurizer(sparse_output=True).set_output(transform="pandas")
    with pytest.raises(ValueError, match="a sparse result cannot be a pandas dataframe"):
        featurizer.fit_transform(make_frame())


@pytest.mark.filterwarnings("ignore:.*hold none of the .* known terms")
def test_nested_parameters_can_be_searched():
    featurizer = make_featurizer()
    assert featurizer.get_params()["text__max_features"] == 2000
    search = GridSearchCV(
        Pipeline([("features", featurizer)]),
        {"features__text__max_features": [1, 2, 3]},
        scoring=lambda pipeline, X, y=None: -pipeline.transform(X).shape[1],
        cv=2,
    ).fit(make_frame())
    assert search.best_params_ == {"features__text__max_features": 1}


def test_a_nested_parameter_of_none_says_what_to_give():
    featurizer = CrossModalFeaturizer()
    with pytest.raises(ValueError, match=r"text__max_features .* text=BoWTextFeaturizer\(\)"):
        featurizer.set_params(text__max_features=3)
    with pytest.raises(ValueError, match=r"image__batch_size .* image=CLIPFeaturizer\(\)"):
        featurizer.set_params(image__batch_size=3)
    featurizer.set_params(text=BoWTextFeaturizer(), text__max_features=3)
    assert featurizer.text.max_features == 3


def test_groups_and_y_are_ignored_and_never_routed():
    X, groups = make_frame(), np.arange(4)
    featurizer = make_featurizer().fit(X, y=groups, groups=groups)
    pd.testing.assert_frame_equal(
        featurizer.transform(X), make_featurizer().fit_transform(X, groups, groups=groups)
    )
    with sklearn.config_context(enable_metadata_routing=True):
        assert "groups" not in make_featurizer().get_metadata_routing().fit.requests


def test_a_pickle_gives_the_same_features():
    featurizer = make_featurizer().fit(make_frame())
    copy = pickle.loads(pickle.dumps(featurizer))
    pd.testing.assert_frame_equal(copy.transform(make_frame()), featurizer.transform(make_frame()))


def test_clip_and_a_bag_of_words_side_by_side(tiny, weights, pictures):
    clip = CLIPFeaturizer(tiny, pretrained=weights, device="cpu")
    table = make_table(image=pictures[:4], text=TEXTS)
    featurizer = CrossModalFeaturizer(clip)
    features = featurizer.fit_transform(table)
    assert list(features.columns) == [f"image__clip{j}" for j in range(8)] + TEXT_COLUMNS
    assert featurizer.n_image_features_ == 8
    np.testing.assert_array_equal(features.iloc[:, :8], clip.transform(pictures[:4]))
    precomputed = make_table(image=clip.transform(pictures[:4]), text=TEXTS)
    again = CrossModalFeaturizer().fit_transform(precomputed)
    np.testing.assert_array_equal(again, features)


def test_a_missing_item_is_named_by_its_row():
    X = make_frame()
    featurizer = make_featurizer().fit(X)
    X.loc[2, "text"] = None
    with pytest.raises(ValueError, match=r"row 2 of X is .*, not a text"):
        featurizer.transform(X)


@pytest.mark.parametrize(("block", "missing"), [("image", "text"), ("text", "image")])
def test_fit_needs_both_blocks(block, missing):
    with pytest.raises(ValueError, match=f"without the {missing} block: its columns are '{block}'"):
        make_featurizer().fit(make_frame()[[block]])


def test_unknown_columns_are_named():
    with pytest.raises(ValueError, match="and no others, got 'image', 'text', 'id': select"):
        make_featurizer().fit(make_frame().assign(id=1))


def test_a_table_without_blocks_is_refused():
    featurizer = make_featurizer().fit(make_frame())
    with pytest.raises(ValueError, match="must hold the columns 'image', 'text', or image__"):
        featurizer.transform(pd.DataFrame(index=range(3)))


def test_a_block_in_both_forms_is_refused():
    with pytest.raises(ValueError, match=r"image block is there twice.*'image'.*'image__0'"):
        make_featurizer().fit(make_frame().assign(image__0=1.0))


def test_a_block_fitted_raw_must_come_raw():
    featurizer = make_featurizer().fit(make_frame())
    with pytest.raises(
        ValueError, match=r"raw column 'text', got columns text__.*: give it in the"
    ):
        featurizer.transform(make_table(text=np.eye(4)))


def test_a_block_fitted_as_features_must_come_as_features():
    featurizer = CrossModalFeaturizer().fit(make_table(image=np.eye(4), text=TEXTS))
    with pytest.raises(ValueError, match=r"as columns image__.*, got the raw column 'image'"):
        featurizer.transform(make_frame())


def test_other_features_than_the_fitted_ones_are_refused():
    featurizer = CrossModalFeaturizer().fit(make_table(image=np.eye(4), text=TEXTS))
    with pytest.raises(ValueError, match="got 'image__0', 'image__1': give the same columns"):
        featurizer.transform(make_table(image=np.eye(2)))
    with pytest.raises(ValueError, match="fitted with 4 features, got 2"):
        featurizer.encode_image(np.eye(2))


def test_vectors_of_unequal_length_are_named_by_their_row():
    X = make_table(image=[np.zeros(2), np.zeros(2), np.zeros(3), None], text=TEXTS)
    with pytest.raises(ValueError, match=r"row 2 must be a vector .* \(3,\) beside \(2,\)"):
        CrossModalFeaturizer("passthrough").fit(X)
    with pytest.raises(ValueError, match=r"row 1 must be a vector .* \(\) beside"):
        CrossModalFeaturizer("passthrough").fit(X.iloc[[0, 3]])


def test_no_rows_are_refused():
    for X in (make_frame()[:0], make_pairs()[:0], make_table(image=np.eye(4), text=TEXTS)[:0]):
        with pytest.raises(ValueError, match=r"0 sample"):
            make_featurizer().fit(X)


@pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 3)])
def test_an_array_must_have_two_columns(shape):
    X = np.full(shape, "a dog", dtype=object)
    with pytest.raises(ValueError, match=r"two columns, image and text.*encode_image, encode_text"):
        make_featurizer().fit(make_frame()).transform(X)


@pytest.mark.parametrize("X", [None, "image", [["a", "b"]]])
def test_what_is_no_table_is_refused(X):
    with pytest.raises(TypeError, match=r"an object array of shape \(n, 2\), got"):
        make_featurizer().fit(X)


def test_transform_needs_fit():
    featurizer = make_featurizer()
    for call in (
        lambda: featurizer.transform(make_frame()),
        lambda: featurizer.encode_image(NAMES),
        lambda: featurizer.encode_text(TEXTS),
        featurizer.get_feature_names_out,
    ):
        with pytest.raises(NotFittedError):
            call()


def test_other_columns_are_ignored_only_if_asked():
    table = make_table(image=np.eye(3, dtype=np.float32), text=["a dog", "a cat", "a cow"])
    more = table.assign(stars=[1, 2, 3])
    with pytest.raises(ValueError, match=r"no others.*or let CrossModalFeaturizer ignore"):
        CrossModalFeaturizer().fit(more)
    featurizer = CrossModalFeaturizer(extra_columns="ignore").fit(more)
    expected = CrossModalFeaturizer().fit_transform(table)
    pd.testing.assert_frame_equal(
        featurizer.transform(more[["stars", "text", *table.columns[:3]]]), expected
    )
    with pytest.raises(ValueError, match="must hold the columns"):
        featurizer.transform(more[["stars"]])
    with pytest.raises(ValueError, match="extra_columns"):
        CrossModalFeaturizer(extra_columns="drop").fit(table)
