import pickle
from collections import Counter
from unicodedata import normalize

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, CountVectorizer

from skhash.features import BoWTextFeaturizer

pytestmark = pytest.mark.filterwarnings("ignore:.*hold none of the .* known terms")
TEXTS = ["two dogs on a beach", "", "a dog dog and a cat", "two cats"]


WORDS = st.sampled_from(["dog", "cat", "beach", "the", "Two", "run"])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(WORDS, max_size=6), min_size=1, max_size=5))
def test_counts_equal_those_of_a_counter(words):
    words = [*words, ["dog"]]  # a vocabulary needs a word
    featurizer = BoWTextFeaturizer(weighting="count")
    counts = featurizer.fit_transform([" ".join(text) for text in words]).toarray()
    terms = sorted({w.lower() for text in words for w in text} - ENGLISH_STOP_WORDS)
    assert list(featurizer.get_feature_names_out()) == terms
    expected = [[Counter(w.lower() for w in text)[term] for term in terms] for text in words]
    np.testing.assert_array_equal(counts, expected)


def test_binary_says_where_a_count_is_positive():
    counts = BoWTextFeaturizer(weighting="count").fit_transform(TEXTS).toarray()
    binary = BoWTextFeaturizer().fit_transform(TEXTS).toarray()
    assert counts.max() == 2
    np.testing.assert_array_equal(binary, counts > 0)


def test_tfidf_follows_its_formula():
    counts = BoWTextFeaturizer(weighting="count").fit_transform(TEXTS).toarray()
    expected = counts * (1 + np.log((1 + len(TEXTS)) / (1 + (counts > 0).sum(axis=0))))
    norms = np.linalg.norm(expected, axis=1, keepdims=True)
    expected = np.divide(expected, norms, out=np.zeros_like(expected), where=norms > 0)
    tfidf = BoWTextFeaturizer(weighting="tfidf").fit_transform(TEXTS).toarray()
    np.testing.assert_allclose(tfidf, expected, rtol=1e-6)


@pytest.mark.parametrize("weighting", ["binary", "count", "tfidf"])
def test_fit_transform_equals_transform_after_fit_in_csr_float32(weighting):
    featurizer = BoWTextFeaturizer(weighting=weighting)
    once = featurizer.fit_transform(TEXTS)
    again = clone(featurizer).fit(TEXTS).transform(TEXTS)
    assert sparse.issparse(once)
    assert once.format == again.format == "csr"
    assert once.dtype == again.dtype == np.float32
    np.testing.assert_array_equal(once.toarray(), again.toarray())


def test_the_most_frequent_terms_are_kept():
    featurizer = BoWTextFeaturizer(max_features=1).fit(["dog cat", "dog", "beach dog"])
    assert featurizer.vocabulary_ == {"dog": 0}


def test_a_text_without_known_words_is_a_row_of_zeros():
    featurizer = BoWTextFeaturizer().fit(TEXTS)
    with pytest.warns(
        UserWarning, match=r"2 of 2 texts hold none of the \d+ known terms"
    ) as caught:
        features = featurizer.transform(["", "zebra"])
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert features.shape[0] == 2
    assert features.nnz == 0


@pytest.mark.parametrize("method", ["fit", "fit_transform", "transform"])
@pytest.mark.parametrize("weighting", ["binary", "count", "tfidf"])
def test_texts_without_known_words_are_counted_once(method, weighting):
    texts = ["two dogs", "the", "", "dogs"]
    featurizer = BoWTextFeaturizer(weighting=weighting)
    if method == "transform":
        featurizer.fit(["two dogs"])
    with pytest.warns(UserWarning, match=r"^2 of 4 texts hold none of the \d known") as caught:
        getattr(featurizer, method)(texts)
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.filterwarnings("error")
def test_texts_with_a_known_word_cause_no_warning():
    BoWTextFeaturizer().fit(["two dogs", "a cat"]).transform(["zebras and cat"])


def test_a_vocabulary_can_be_given():
    featurizer = BoWTextFeaturizer(vocabulary=["dog", "zebra"]).fit(TEXTS)
    assert list(featurizer.get_feature_names_out()) == ["dog", "zebra"]


@pytest.mark.parametrize(
    "container",
    [
        np.array,
        lambda texts: np.array(texts, dtype=object),
        lambda texts: np.array(texts, dtype=object).reshape(-1, 1),
        pd.Series,
        pl.Series,
        lambda texts: pd.DataFrame({"text": texts}),
        lambda texts: pl.DataFrame({"text": texts}),
    ],
)
def test_every_container_gives_what_a_list_gives(container):
    expected = BoWTextFeaturizer().fit_transform(TEXTS).toarray()
    features = BoWTextFeaturizer().fit_transform(container(TEXTS)).toarray()
    np.testing.assert_array_equal(features, expected)


def test_pandas_output_is_dense_and_named_and_keeps_the_index():
    X = pd.DataFrame({"text": TEXTS}, index=list("abcd"))
    featurizer = BoWTextFeaturizer(sparse_output=False).set_output(transform="pandas")
    frame = featurizer.fit_transform(X)
    assert list(frame.columns) == list(featurizer.get_feature_names_out())
    assert list(frame.index) == list("abcd")
    assert (frame.dtypes == np.float32).all()


def test_polars_output_is_named():
    featurizer = BoWTextFeaturizer(sparse_output=False).set_output(transform="polars")
    frame = featurizer.fit(TEXTS).transform(TEXTS)
    assert isinstance(frame, pl.DataFrame)
    assert frame.columns == list(featurizer.get_feature_names_out())


def test_sparse_output_refuses_to_be_a_dataframe():
    featurizer = BoWTextFeaturizer().set_output(transform="pandas")
    with pytest.raises(ValueError, match="sparse_output=False"):
        featurizer.fit_transform(TEXTS)


def test_a_pickle_gives_the_same_features():
    featurizer = BoWTextFeaturizer(weighting="tfidf").fit(TEXTS)
    copy = pickle.loads(pickle.dumps(featurizer))
    np.testing.assert_array_equal(
        copy.transform(TEXTS).toarray(), featurizer.transform(TEXTS).toarray()
    )


@pytest.mark.parametrize("alone", ["two dogs", b"two dogs", {"a": 1}, {"a"}, None, 3])
def test_what_is_no_sequence_is_refused(alone):
    with pytest.raises(TypeError, match="sequence of texts, one a row, got"):
        BoWTextFeaturizer().fit(alone)


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_a_missing_text_is_named_by_its_row(missing):
    with pytest.raises(ValueError, match=r"row 1 of X is .*, not a text: use ''"):
        BoWTextFeaturizer().fit(["dog", missing])


def test_a_row_of_another_type_is_named():
    with pytest.raises(TypeError, match="row 2 of X must be a str, got int"):
        BoWTextFeaturizer().fit(["dog", "cat", 3])


def test_transform_checks_its_rows_too():
    with pytest.raises(ValueError, match="row 0 of X is None"):
        BoWTextFeaturizer().fit(TEXTS).transform([None])


@pytest.mark.parametrize("empty", [[], np.array([], dtype=object), pd.DataFrame({"text": []})])
def test_no_rows_are_refused(empty):
    with pytest.raises(ValueError, match="0 samples"):
        BoWTextFeaturizer().fit(empty)


def test_two_columns_are_refused():
    with pytest.raises(ValueError, match="must have one column, got 2"):
        BoWTextFeaturizer().fit(pd.DataFrame({"a": ["x"], "b": ["y"]}))
    with pytest.raises(ValueError, match=r"got an array of shape \(2, 2\)"):
        BoWTextFeaturizer().fit(np.array([["a", "b"], ["c", "d"]]))


def test_an_empty_vocabulary_names_the_parameters():
    with pytest.raises(ValueError, match=r"no term remains of 2 texts.*stop_words='english'"):
        BoWTextFeaturizer().fit(["the", "and"])


def test_terms_that_are_all_pruned_name_the_parameters():
    with pytest.raises(ValueError, match=r"no term remains of 2 texts.*min_df=2"):
        BoWTextFeaturizer(min_df=2).fit(["dog", "cat"])


def test_an_unknown_weighting_is_refused():
    with pytest.raises(
        ValueError, match="weighting must be one of 'binary', 'count', 'tfidf', got 'x'"
    ):
        BoWTextFeaturizer(weighting="x").fit(TEXTS)


def test_another_error_of_the_vectorizer_comes_through():
    with pytest.raises(ValueError, match="max_features"):
        BoWTextFeaturizer(max_features=-1).fit(TEXTS)


def test_transform_needs_fit():
    with pytest.raises(NotFittedError):
        BoWTextFeaturizer().transform(TEXTS)
    with pytest.raises(NotFittedError):
        BoWTextFeaturizer().get_feature_names_out()


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("हिन्दी में किताबें", ["किताबें", "में", "हिन्दी"]),
        ("می\u200cخواهم کتاب", ["می\u200cخواهم", "کتاب"]),
        ("Привет, мир", ["мир", "привет"]),
        ("狗在海滩上跑", ["狗在海滩上跑"]),
        ("dog ❤️\u200d🔥 😀", ["dog"]),
    ],
)
def test_words_of_every_script_are_whole(text, terms):
    featurizer = BoWTextFeaturizer().fit([text])
    assert list(featurizer.get_feature_names_out()) == terms


def test_an_accent_is_the_same_however_it_is_encoded():
    one, two = (normalize(form, "café") for form in ("NFC", "NFD"))
    featurizer = BoWTextFeaturizer().fit([one])
    assert featurizer.transform([two]).nnz == 1
    assert BoWTextFeaturizer(vocabulary=[two]).fit([one]).transform([one]).nnz == 1
    assert BoWTextFeaturizer(vocabulary={two: 0}).fit([one]).transform([one]).nnz == 1
    assert list(BoWTextFeaturizer(stop_words=[two]).fit([f"{one} dog"]).vocabulary_) == ["dog"]


def test_pairs_of_characters_serve_where_words_are_not_apart():
    featurizer = BoWTextFeaturizer(analyzer="char", ngram_range=(2, 2)).fit(["狗在海滩", "海滩"])
    assert list(featurizer.get_feature_names_out()) == ["在海", "海滩", "狗在"]


@pytest.mark.parametrize(
    "parameters",
    [
        {"analyzer": "char_wb", "ngram_range": (1, 3)},
        {"analyzer": str.split},
        {"tokenizer": str.split},
        {"preprocessor": str.upper, "stop_words": None},
        {"strip_accents": "unicode"},
        {"token_pattern": r"(?u)\b\w\w+\b"},
        {},
    ],
)
def test_terms_are_those_of_scikit_learn(parameters):
    texts = ["Two dogs, café", "a dog\tand_one 3 cats"]
    found = BoWTextFeaturizer(**{"stop_words": None, **parameters}).fit(texts)
    if "tokenizer" in parameters:
        parameters = {**parameters, "token_pattern": None}
    assert found.vocabulary_ == CountVectorizer(**parameters).fit(texts).vocabulary_


def test_an_unknown_analyzer_is_refused():
    with pytest.raises(ValueError, match="analyzer must be one of 'word', 'char', 'char_wb', got"):
        BoWTextFeaturizer(analyzer="syllable").fit(TEXTS)
