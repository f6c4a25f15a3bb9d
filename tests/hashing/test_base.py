"""What every hasher gives, shown on CFRH: codes, containers, persistence."""

import pickle

import joblib
import numpy as np
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import estimator_checks_generator

from skhash._blocks import output_container
from skhash.codes import convert_codes
from skhash.hashing import CFRHHasher


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("estimator", "check"),
    list(estimator_checks_generator(CFRHHasher(n_image_features=1, max_iter=2), mark="skip")),
    ids=lambda value: getattr(getattr(value, "func", value), "__name__", type(value).__name__),
)
def test_scikit_learn_check(estimator, check):
    check(estimator)


def test_bits_are_the_default_image_codes_first(fitted, table, pairs):
    codes = fitted.transform(table)
    assert codes.dtype == bool
    np.testing.assert_array_equal(codes[:, :10], fitted.encode_image(pairs[:, :6]))
    np.testing.assert_array_equal(codes[:, 10:], fitted.encode_text(pairs[:, 6:]))


@pytest.mark.parametrize("output", ["packed", "signs", "real"])
def test_every_format_holds_the_same_code(fitted, table, output):
    bits = fitted.transform(table)
    fitted.set_params(output=output)
    image, text = np.split(fitted.transform(table), 2, axis=1)
    np.testing.assert_array_equal(convert_codes(image, "bits", n_bits=10), bits[:, :10])
    np.testing.assert_array_equal(convert_codes(text, "bits", n_bits=10), bits[:, 10:])


def test_one_block_alone_gives_its_half_of_the_codes(fitted, table):
    codes = fitted.transform(table)
    np.testing.assert_array_equal(fitted.transform(table.filter(like="image__")), codes[:, :10])
    np.testing.assert_array_equal(fitted.transform(table.filter(like="text__")), codes[:, 10:])


def test_pandas_output_keeps_the_index_and_names_the_bits(fitted, table):
    table.index = [f"row{i}" for i in range(len(table))]
    codes = fitted.set_output(transform="pandas").transform(table)
    assert list(codes.columns) == list(fitted.get_feature_names_out())
    assert codes.columns[0] == "image__bit0"
    assert codes.columns[-1] == "text__bit9"
    assert codes.index.equals(table.index)
    assert fitted.transform(table.filter(like="text__")).columns[0] == "text__bit0"


def test_polars_in_and_out_gives_the_same_codes(fitted, table):
    codes = fitted.transform(table)
    out = (
        clone(fitted)
        .set_output(transform="polars")
        .fit(pl.from_pandas(table))
        .transform(pl.from_pandas(table))
    )
    assert isinstance(out, pl.DataFrame)
    np.testing.assert_array_equal(out.to_numpy(), codes)


def test_clone_keeps_the_output_container(fitted):
    assert output_container(clone(fitted.set_output(transform="pandas"))) == "pandas"


def test_packed_columns_are_named_bytes(fitted):
    fitted.set_params(output="packed")
    assert list(fitted.get_feature_names_out()) == [
        "image__byte0", "image__byte1", "text__byte0", "text__byte1",
    ]  # fmt: skip


@pytest.mark.parametrize("mmap_mode", [None, "r"])
def test_a_saved_hasher_gives_the_same_codes(fitted, table, tmp_path, mmap_mode):
    joblib.dump(fitted, tmp_path / "hasher.joblib")
    loaded = joblib.load(tmp_path / "hasher.joblib", mmap_mode=mmap_mode)
    np.testing.assert_array_equal(loaded.transform(table), fitted.transform(table))


def test_a_pickle_holds_no_torch(fitted):
    assert b"torch" not in pickle.dumps(fitted)


def test_weights_are_numpy_arrays(fitted):
    for state in (fitted.image_state_, fitted.text_state_):
        assert all(type(array) is np.ndarray for array in state.values())


def test_fewer_rows_than_a_batch_are_one_batch_with_a_warning(hasher, pairs):
    with pytest.warns(UserWarning, match="batch_size=64 is more than the 30 rows") as seen:
        model = hasher(batch_size=64).fit(pairs)
    with pytest.warns(UserWarning, match="batch_size=64 is more than the 30 rows") as below:
        make_pipeline("passthrough", hasher(batch_size=64)).fit(pairs)
    assert {warning.filename for warning in [*seen, *below]} == {__file__}
    np.testing.assert_array_equal(
        model.transform(pairs), hasher(batch_size=30).fit(pairs).transform(pairs)
    )


def test_rows_without_any_word_are_announced(hasher, pairs):
    pairs[[3, 8], 6:] = 0
    with pytest.warns(UserWarning, match=r"2 rows of the text block are all zeros \(rows 3, 8\)"):
        hasher().fit(pairs)


def test_groups_of_another_length_are_refused(hasher, pairs):
    with pytest.raises(ValueError, match="one id per row, got 29 ids for 30 rows"):
        hasher().fit(pairs, groups=np.arange(29))


def test_labels_of_another_length_are_refused(hasher, pairs):
    with pytest.raises(ValueError, match=r"30.*29|29.*30"):
        hasher().fit(pairs).score(pairs, np.arange(29))


@pytest.mark.parametrize("call", ["transform", "encode_image", "encode_text", "score"])
def test_nothing_is_encoded_before_fit(hasher, pairs, call):
    with pytest.raises(NotFittedError):
        getattr(hasher(), call)(pairs)
    with pytest.raises(NotFittedError):
        hasher().get_feature_names_out()
