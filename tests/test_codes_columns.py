"""Names of columns decide what is an image code and what a text code, or are refused."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.pipeline import FeatureUnion
from sklearn.preprocessing import FunctionTransformer

from skhash import make_table
from skhash._blocks import block_of, named_columns
from skhash.hashing import CFRHHasher
from skhash.metrics import CodeDisplay, RetrievalScorer, retrieval_report
from skhash.retrieval import HammingRetriever

identity = FunctionTransformer()
rng = np.random.default_rng(0)
image = rng.random((30, 12)) < 0.5
text = image ^ (rng.random((30, 12)) < 0.2)
pairs = make_table(image=image, text=text)
# As two hashers of 6 bits side by side name and order them.
union = pd.concat(
    [
        make_table(image=image[:, part], text=text[:, part]).add_prefix(f"{step}__")
        for step, part in (("a", slice(0, 6)), ("b", slice(6, 12)))
    ],
    axis=1,
)


def score(codes):
    return RetrievalScorer()(identity, codes)


def report(codes):
    return retrieval_report(codes).to_frame().to_numpy()


def index_score(codes):
    return HammingRetriever().fit(codes).score(codes)


def paired_index_score(codes):
    return HammingRetriever(paired=True).fit(codes).score(codes)


def display(codes):
    class Encoder:
        def transform(self, X):
            return codes

    return CodeDisplay.from_estimator(Encoder(), None).related


READERS = [score, report, index_score, paired_index_score, display]


@pytest.fixture(autouse=True)
def nothing_is_drawn(monkeypatch):
    monkeypatch.setattr(CodeDisplay, "plot", lambda self, ax=None: self)


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("image__bit0", "image"),
        ("a__image__bit0", "image"),
        ("a__b__text__bit0", "text"),
        ("text__image", "text"),
        ("image", None),
        ("a__image", None),
        ("images__0", None),
    ],
)
def test_a_block_is_the_first_word_of_a_name_that_tells_one(name, block):
    assert block_of(name) == block


def test_columns_in_a_row_stay_a_slice():
    assert named_columns(["text__0", "a__image__0", "a__image__1"]) == {
        "image": slice(1, 3),
        "text": slice(0, 1),
    }
    assert named_columns(["0", "1"]) == {}
    np.testing.assert_array_equal(named_columns(list(union))["image"], [*range(6), *range(12, 18)])


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("container", [pd.DataFrame, pl.DataFrame, pa.Table.from_pandas])
def test_a_union_of_hashers_is_split_by_name(read, container):
    np.testing.assert_array_equal(read(container(union)), read(pairs))


@pytest.mark.parametrize("read", READERS)
def test_texts_may_stand_first(read):
    backwards = pairs[[*pairs.columns[12:], *pairs.columns[:12]]]
    np.testing.assert_array_equal(read(backwards), read(pairs))


@pytest.mark.parametrize("container", ["default", "pandas", "polars"])
def test_a_real_union_of_hashers_scores_as_its_codes_do(table, container):
    options = {"n_bits": 8, "max_iter": 1, "batch_size": 10}
    hashers = [(name, CFRHHasher(**options, random_state=i)) for i, name in enumerate("ab")]
    codes = [hasher.fit(table).transform(table) for _, hasher in hashers]
    expected = np.hstack([codes[0][:, :8], codes[1][:, :8], codes[0][:, 8:], codes[1][:, 8:]])
    fitted = FeatureUnion(hashers).set_output(transform=container).fit(table)
    assert RetrievalScorer()(fitted, table) == score(expected)
    assert RetrievalScorer(gallery=table)(fitted, table) == score(expected)
    shown = CodeDisplay.from_estimator(fitted, table).related
    np.testing.assert_array_equal(shown, display(expected))


def texts_first(table, n_texts):
    """Return a transformer whose arrays hold the text block first."""
    texts, images = (list(table.filter(like=block).columns) for block in ("text", "image"))
    steps = [("text", PCA(n_texts), texts), ("image", PCA(4), images)]
    return ColumnTransformer(steps).fit(table)


def test_an_array_is_split_by_the_names_that_its_transformer_gives(table):
    transformer = texts_first(table, 4)
    codes = transformer.transform(table)
    scorer = RetrievalScorer("precision", k=1, direction="image_to_text")
    expected = scorer(identity, np.hstack([codes[:, 4:], codes[:, :4]]))
    assert scorer(transformer, table) == expected


def test_an_array_whose_names_tell_unequal_blocks_is_refused(table):
    with pytest.raises(ValueError, match=r"as many image__\* as text__\* columns, got 4 and 6"):
        RetrievalScorer()(texts_first(table, 6), table)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (
            pairs.rename(columns={"image__3": "three"}),
            "column names do not tell image from text.*three",
        ),
        (
            pairs.add_prefix("image__"),
            "column names do not tell image from text, got 'image__text__0'",
        ),
        (pairs.iloc[:, :-2], r"as many image__\* as text__\* columns, got 12 and 10"),
    ],
)
def test_names_that_contradict_the_split_are_refused(read, codes, message):
    with pytest.raises(ValueError, match=message):
        read(codes)


@pytest.mark.parametrize("read", [score, report, paired_index_score, display])
@pytest.mark.parametrize("prefix", ["bit", "pca", "a__image_"])
def test_named_columns_of_no_block_are_not_halved(read, prefix):
    codes = pairs.set_axis([f"{prefix}{column}" for column in range(24)], axis=1)
    with pytest.raises(ValueError, match=r"named, but not image__\* and text__\*, got"):
        read(codes)


def test_named_columns_of_no_block_are_one_code_of_an_index():
    codes = pairs.set_axis([f"bit{column}" for column in range(24)], axis=1)
    assert not HammingRetriever().fit(codes).paired_


@pytest.mark.parametrize("read", [score, report, paired_index_score, display])
def test_columns_of_no_name_are_split_in_the_middle(read):
    array = pairs.to_numpy()
    for codes in (array, pd.DataFrame(array), pl.from_numpy(array)):
        np.testing.assert_array_equal(read(codes), read(pairs))


def test_half_a_table_is_no_side_of_a_report():
    with pytest.raises(ValueError, match=r"as many image__\* as text__\* columns, got 12 and 0"):
        retrieval_report(make_table(image=image), make_table(text=text))


@pytest.mark.parametrize("codes", [pairs.to_numpy(), image])
def test_a_report_compares_codes_with_their_length(codes):
    assert "12 bits" in str(retrieval_report(pairs, n_bits=12))
    with pytest.raises(ValueError, match=r"codes of \d+ columns have \d+ bits, got n_bits=16"):
        retrieval_report(codes, n_bits=16)


def test_a_report_counts_the_bits_of_packed_codes():
    from skhash.codes import pack_codes

    codes = np.hstack([pack_codes(image), pack_codes(text)])
    assert "codes         16 bits (2 bytes), ranked" in str(retrieval_report(codes))
    known = retrieval_report(codes, n_bits=12)
    assert "codes         12 bits (2 bytes), ranked" in str(known)
    plain = retrieval_report(np.hstack([image, text]))
    pd.testing.assert_frame_equal(known.to_frame(), plain.to_frame())


def test_a_report_says_how_an_array_was_split():
    assert "; 24 columns split in the middle" in str(retrieval_report(pairs.to_numpy()))
    assert "middle" not in str(retrieval_report(pairs))


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("block", ["image", "text"])
@pytest.mark.parametrize("container", [lambda table: table, pl.from_pandas])
def test_numbered_columns_in_the_order_of_the_alphabet_are_refused(read, block, container):
    names = [name for name in pairs if name.startswith(block)]
    mixed = pairs.rename(columns=dict(zip(names, sorted(names), strict=True)))
    with pytest.raises(ValueError, match=f"the columns {block}__\\* must be in the order of"):
        read(container(mixed))


def test_queries_and_vectors_in_the_order_of_the_alphabet_are_refused():
    vectors = make_table(image=rng.standard_normal((30, 12)))
    images = HammingRetriever(n_neighbors=1, rerank="vectors")
    images.fit(make_table(image=image), vectors=vectors)
    mixed, queries = sorted(vectors), make_table(image=image)
    for given in (
        {"X": queries[mixed], "vectors": vectors},
        {"X": queries, "vectors": vectors[mixed]},
    ):
        with pytest.raises(ValueError, match="must be in the order of their numbers, got image__1"):
            images.kneighbors(**given)


def test_words_that_are_numbers_may_be_columns_in_any_order():
    words = ["text__10", "text__2", "text__a"]
    assert named_columns(words) == {"text": slice(0, 3)}
