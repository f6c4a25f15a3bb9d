"""Metrics of galleries on Dask workers, against the same in this process."""

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import FunctionTransformer

from skhash import make_table
from skhash.hashing import CCAHasher
from skhash.metrics import (
    RetrievalScorer,
    average_precision,
    ndcg_at_k,
    precision_at_k,
    retrieval_report,
)

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
frames = pytest.importorskip("dask.dataframe")

RNG = np.random.default_rng(0)
CENTRES = RNG.random((5, 12)) < 0.5
Y, Y_QUERY = RNG.integers(5, size=200), RNG.integers(5, size=30)


def paired(y):
    image, text = (CENTRES[y] ^ (RNG.random((len(y), 12)) < noise) for noise in (0.1, 0.3))
    return np.hstack([image, text])


CODES, QUERIES = paired(Y), paired(Y_QUERY)
INDICATORS, QUERY_INDICATORS = (
    np.eye(5, dtype=int)[y] | np.eye(5, dtype=int)[0] for y in (Y, Y_QUERY)
)


@pytest.fixture(autouse=True)
def one_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


def lazy(array, chunks=45):
    return da.from_array(array, chunks=(chunks, *array.shape[1:]))


def test_a_report_by_two_processes_is_that_of_one(cluster):
    found = retrieval_report(QUERIES, lazy(CODES), Y_QUERY, lazy(Y), k=20)
    expected = retrieval_report(QUERIES, CODES, Y_QUERY, Y, k=20)
    both = [report.to_frame().drop(index="random codes") for report in (found, expected)]
    exact = [frame.drop(columns=["mAP_low", "mAP_high"]) for frame in both]  # of a bootstrap
    pd.testing.assert_frame_equal(*exact, check_exact=True)
    pd.testing.assert_frame_equal(*both, atol=0.02)
    random = [report.to_frame().loc["random codes", "mAP"] for report in (found, expected)]
    assert random[0] == pytest.approx(random[1], abs=0.05)
    assert str(found).splitlines()[-3:] == str(expected).splitlines()[-3:]


def test_a_report_of_packed_codes_checks_their_length():
    packed = np.packbits(CODES.reshape(200, 2, 12), axis=2, bitorder="little").reshape(200, 4)
    queries = np.packbits(QUERIES.reshape(30, 2, 12), axis=2, bitorder="little").reshape(30, 4)
    found = retrieval_report(queries, lazy(packed), Y_QUERY, Y, n_bits=12).to_frame()
    expected = retrieval_report(QUERIES, CODES, Y_QUERY, Y).to_frame()
    assert found["mAP"].iloc[0] == expected["mAP"].iloc[0]
    with pytest.raises(ValueError, match="bits beyond n_bits=9"):
        retrieval_report(queries & 1, lazy(packed), Y_QUERY, Y, n_bits=9)


@pytest.mark.parametrize("score", [average_precision, ndcg_at_k, precision_at_k])
@pytest.mark.parametrize("labels", [(Y_QUERY, Y), (QUERY_INDICATORS, INDICATORS)])
def test_metrics(score, labels):
    options = {} if score is average_precision else {"k": 10}
    sides = QUERIES[:, :12], CODES[:, 12:]
    expected = score(*sides, *labels, **options)
    np.testing.assert_array_equal(score(sides[0], lazy(sides[1]), *labels, **options), expected)


@pytest.mark.parametrize("ties", ["optimistic", "index"])
def test_ties(ties):
    labels, options = (Y_QUERY, Y), {"ties": ties}
    expected = average_precision(QUERIES, CODES, *labels, **options)
    found = average_precision(QUERIES, lazy(CODES), *labels, **options)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kind", ["array", "frame"])
def test_a_scorer_encodes_its_gallery_on_workers(cluster, table, kind):
    hasher = CCAHasher(n_bits=4).fit(table)
    y = np.arange(30) % 5
    gallery = frames.from_pandas(table, npartitions=4)
    if kind == "array":
        hasher = CCAHasher(n_bits=4, n_image_features=6).fit(table.to_numpy())
        table = table.to_numpy()
        gallery = da.from_array(table, chunks=(8, 15))
    expected = RetrievalScorer(gallery=table, gallery_y=y)(hasher, table[:9], y[:9])
    assert RetrievalScorer(gallery=gallery, gallery_y=y)(hasher, table[:9], y[:9]) == expected


def test_what_is_not_computed_on_workers():
    real = CODES - 0.5
    with pytest.raises(TypeError, match="not computed on Dask workers: give binary codes"):
        retrieval_report(QUERIES - 0.5, lazy(real), Y_QUERY, Y)
    with pytest.raises(TypeError, match="the codes of the queries must be in the memory"):
        retrieval_report(lazy(CODES), y=Y)
    with pytest.raises(TypeError, match="query codes must be in the memory"):
        average_precision(lazy(CODES), CODES, Y, Y)
    with pytest.raises(TypeError, match="the rows that are scored must be in the memory"):
        RetrievalScorer()(FunctionTransformer(), lazy(CODES))


def test_codes_of_other_width_or_format():
    with pytest.raises(ValueError, match="have 24 columns, the gallery codes 20"):
        average_precision(QUERIES, lazy(CODES[:, :20]), Y_QUERY, Y)
    with pytest.raises(TypeError, match="the query codes are signs, the gallery codes bits"):
        average_precision(np.where(QUERIES, 1, -1), lazy(CODES), Y_QUERY, Y)


def test_named_columns():
    table = make_table(image=CODES[:, :12], text=CODES[:, 12:])
    gallery = frames.from_pandas(table, npartitions=3)
    found = retrieval_report(make_table(QUERIES[:, :12], QUERIES[:, 12:]), gallery, Y_QUERY, Y)
    expected = retrieval_report(QUERIES, CODES, Y_QUERY, Y)
    np.testing.assert_array_equal(found.to_frame()["mAP"][:2], expected.to_frame()["mAP"][:2])
