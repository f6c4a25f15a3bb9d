"""Ids of rows, and labels, wherever they can be given."""

import datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from skhash._inputs.ids import encode_ids
from skhash.datasets import make_scenes
from skhash.features import ContrastiveFeaturizer
from skhash.hashing import CFRHHasher
from skhash.metrics import RetrievalScorer, mean_average_precision
from skhash.retrieval import HammingRetriever

rng = np.random.default_rng(0)
pairs, bits = rng.normal(size=(4, 4)), rng.random((4, 8)) < 0.5
scenes = make_scenes(4, image_size=16, random_state=0).frame
identity = SimpleNamespace(transform=lambda X: X)
TINY = {
    **{"image_tower": "vit", "image_size": 16, "patch_size": 8, "width": 16, "image_layers": 1},
    **{"text_layers": 1, "embed_dim": 8, "batch_size": 2, "joint_epochs": 1, "n_rounds": 0},
}


def hasher():
    return CFRHHasher(4, n_image_features=2, max_iter=1, batch_size=4, random_state=0)


GROUPS = {
    "CFRHHasher.fit": lambda ids: hasher().fit(pairs, groups=ids),
    "CFRHHasher.partial_fit": lambda ids: hasher().partial_fit(pairs, groups=ids),
    "ContrastiveFeaturizer.fit": lambda ids: ContrastiveFeaturizer(**TINY, random_state=0).fit(
        scenes, groups=ids
    ),
    "ContrastiveFeaturizer.partial_fit": lambda ids: ContrastiveFeaturizer(
        **TINY, random_state=0
    ).partial_fit(scenes, groups=ids),
    "RetrievalScorer": lambda ids: RetrievalScorer()(identity, pairs, groups=ids),
}
LABELS = {
    "HammingRetriever.fit": lambda y: HammingRetriever().fit(bits, y),
    "HammingRetriever.partial_fit": lambda y: HammingRetriever().partial_fit(bits, y),
    "mean_average_precision": lambda y: mean_average_precision(bits, bits, y, y),
    "CFRHHasher.score": lambda y: hasher().fit(pairs).score(pairs, y),
}
DOORS = pytest.mark.parametrize(
    ("give", "name"),
    [
        *(pytest.param(give, "groups", id=door) for door, give in GROUPS.items()),
        *(pytest.param(give, "labels", id=door) for door, give in LABELS.items()),
    ],
)

# Equal first and last, and two others.
GOOD = {
    "integers": np.array([5, 3, 4, 5]),
    "unsigned": np.array([2**63 + 1, 3, 4, 2**63 + 1], dtype=np.uint64),
    "large integers": [2**62 + 2, 2**62, 2**62 + 1, 2**62 + 2],
    "booleans": [True, False, False, True],
    "floats": [0.5, 1, 2, 0.5],
    "strings": list("caba"),
    "objects": np.array(list("cabc"), dtype=object),
    "objects of integers": np.array([5, 3, 4, 5], dtype=object),
    "bytes": [b"c", b"a", b"b", b"c"],
    "StringDType": np.array(list("cabc"), dtype=np.dtypes.StringDType()),
    "paths": [Path("c"), Path("a"), "b", "c"],
    "dates": [datetime.date(2020, 1, day) for day in (3, 1, 2, 3)],
    "times with a zone": pd.Series(pd.to_datetime([3, 1, 2, 3], utc=True)),
    "Series": pd.Series(list("cabc"), index=[3, 2, 1, 0]),
    "string Series": pd.Series(list("cabc"), dtype="string"),
    "Int64": pd.array([5, 3, 4, 5], dtype="Int64"),
    "boolean": pd.array([True, False, False, True], dtype="boolean"),
    "Arrow": pd.Series([5, 3, 4, 5], dtype="int64[pyarrow]"),
    "categories": pd.Categorical(list("cabc")),
    "Index": pd.Index(list("cabc")),
    "polars": pl.Series(list("cabc")),
    "polars categories": pl.Series(list("cabc"), dtype=pl.Categorical),
    "pyarrow": pa.chunked_array([["c", "a"], ["b", "c"]]),
}
MISSING = {
    "None": ["a", None, "b", "a"],
    "all None": [None] * 4,
    "NaN": [1.0, np.nan, 2.0, 1.0],
    "all NaN": np.full(4, np.nan),
    "NaN beside strings": ["a", np.nan, "b", "a"],
    "NaT": np.array(["2020-01-01", "NaT", "2020-01-02", "2020-01-01"], dtype="datetime64[D]"),
    "NA": pd.array([1, None, 2, 1], dtype="Int64"),
    "categories": pd.Categorical(["a", None, "b", "a"]),
    "StringDType": np.array(["a", None, "b", "a"], dtype=np.dtypes.StringDType(na_object=None)),
    "polars": pl.Series([1, None, 2, 1]),
    "masked": np.ma.masked_equal([1, 7, 2, 1], 7),
}
BAD = {
    "a dict": (dict(enumerate("abca")), "must be a sequence with one value per row, got dict"),
    "a set": ({"a", "b", "c", "d"}, "must be a sequence with one value per row, got set"),
    "a string": ("abca", "must be a sequence with one value per row, got str"),
    "a number": (4, "must be a sequence with one value per row, got int"),
    "a generator": ((i for i in range(4)), "must be a sequence with one value per row, got gen"),
    "lists": ([["a"], ["a", "b"], [], ["b"]], "MultiLabelBinarizer"),
    "lists of one length": ([["a", "b"]] * 4, "one id per row|MultiLabelBinarizer"),
    "sets": ([{"a"}, {"a", "b"}, set(), {"b"}], "MultiLabelBinarizer"),
    "integers and strings": ([1, "1", 2, "a"], "all of one kind, got int, str"),
    "integers beside floats": ([2**62 + 1, 2.0**62, 2, 3], "all of one kind, got float, int"),
    "huge integers": ([2**70, 1, 2, 2**70], "integers of at most 64 bits"),
    "integers of both ends": ([2**64 - 1, -1, 2, 3], "integers of at most 64 bits"),
    "others": ([object()] * 4, "all of one kind, got object"),
    "three dimensions": (np.zeros((4, 1, 1)), "dimension"),
}


@DOORS
@pytest.mark.parametrize("ids", GOOD.values(), ids=GOOD)
def test_ids_of_any_kind_are_taken(give, name, ids):
    give(ids)


@pytest.mark.parametrize("kind", GOOD)
def test_equal_ids_have_equal_numbers_in_their_order(kind):
    expected = {"booleans": [1, 0, 0, 1], "boolean": [1, 0, 0, 1], "floats": [0, 1, 2, 0]}
    expected["strings"] = [2, 0, 1, 0]
    ids = GOOD[kind]
    assert encode_ids(ids, "groups", 4).tolist() == expected.get(kind, [2, 0, 1, 2])


@DOORS
@pytest.mark.parametrize("ids", MISSING.values(), ids=MISSING)
def test_missing_values_are_named(give, name, ids):
    with pytest.raises(ValueError, match=f"{name} must not hold missing values.* in row [01]"):
        give(ids)


@DOORS
@pytest.mark.parametrize("case", BAD)
def test_what_names_no_rows_is_refused(give, name, case):
    ids, message = BAD[case]
    with pytest.raises((ValueError, TypeError), match=f"{name}.*({message})"):
        give(ids)


@pytest.mark.parametrize("give", GROUPS.values(), ids=GROUPS)
@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (np.zeros((4, 1)), r"one dimension, got the shape \(4, 1\): use numpy.ravel\(groups\)"),
        (pd.DataFrame({"id": list("abca")}), r"one dimension, got the shape \(4, 1\): use numpy"),
        (np.zeros((4, 2)), r"groups must have one dimension, got the shape \(4, 2\): give one id"),
        (sparse.csr_array(np.eye(4)), "groups must be dense, got a sparse csr_array"),
        ([1, 2, 3], "groups must hold one id per row, got 3 ids for 4 rows"),
    ],
    ids=["column", "frame", "table", "sparse", "short"],
)
def test_groups_are_one_id_a_row(give, groups, message):
    with pytest.raises((ValueError, TypeError), match=message):
        give(groups)


@pytest.mark.parametrize("give", LABELS.values(), ids=LABELS)
def test_a_table_of_strings_is_no_indicators(give):
    with pytest.raises(ValueError, match="labels of two dimensions must be indicators, 0 or 1"):
        give(np.array(list("abca"))[:, None])


@pytest.mark.parametrize(
    "y", [["a", "b\0", "c", "d"], [b"a", b"b\0", b"c", b"d"]], ids=["str", "bytes"]
)
def test_labels_that_end_with_a_zero_are_refused(y):
    for labels in (y, np.array(y, dtype=object)):
        with pytest.raises((ValueError, TypeError), match="labels must"):
            HammingRetriever().fit(bits, labels)


@pytest.mark.parametrize("kind", GOOD)
def test_labels_that_can_be_fitted_can_be_saved(tmp_path, kind):
    index = HammingRetriever(1).fit(bits, GOOD[kind])
    index.save(tmp_path)
    again = HammingRetriever.open(tmp_path)
    np.testing.assert_array_equal(again.y_, index.y_)
    assert again.score(bits, GOOD[kind]) == index.score(bits, GOOD[kind])


SCALARS = st.one_of(
    st.integers(-(2**70), 2**70), st.text(max_size=3), st.booleans(), st.none(), st.floats(),
    st.binary(max_size=3), st.just(pd.NA), st.dates(), st.just(Path("a")), st.just(np.int8(1)),
)  # fmt: skip


@given(st.lists(SCALARS, min_size=1, max_size=6))
def test_any_list_is_numbered_by_equality_or_refused(ids):
    try:
        numbers = encode_ids(ids, "groups", len(ids))
    except (ValueError, TypeError) as error:
        assert "groups" in str(error)  # noqa: PT017
        return
    assert (numbers[:, None] == numbers).tolist() == [
        [one == other or str(one) == str(other) for other in ids] for one in ids
    ]
