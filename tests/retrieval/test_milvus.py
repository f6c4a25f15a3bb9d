"""An index written to Milvus Lite and read back."""

import numpy as np
import pytest

from skhash import make_table
from skhash.codes import pack_codes, unpack_codes
from skhash.retrieval import HammingRetriever, from_milvus, to_milvus

# pymilvus and what it imports warn when they are imported, or leave a connection to the collector.
pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.filterwarnings("ignore:pkg_resources is deprecated"),
]
pymilvus = pytest.importorskip("pymilvus", exc_type=ImportError)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """A connection to Milvus Lite, which runs in a process of its own."""
    path = tmp_path_factory.mktemp("milvus") / "codes.db"
    try:
        client = pymilvus.MilvusClient(str(path))
    except Exception as error:
        pytest.skip(f"Milvus Lite does not start: {error.__cause__ or error}")
    yield client
    client.close()


@pytest.fixture(autouse=True)
def clean(client):
    yield
    for name in client.list_collections():
        client.drop_collection(name)


def random_codes(n_codes, n_bytes=2, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n_codes, n_bytes), dtype=np.uint8)


CODES, QUERIES = random_codes(200), random_codes(5, seed=1)
Y = np.random.default_rng(2).choice(["cat", "dog", "füchse"], 200)
IDS = np.array([f"{number:03d}.jpg" for number in range(200)])


def search(client, queries, k, field="codes"):
    """Return distances and ids that Milvus finds."""
    found = client.search(
        "codes",
        data=[row.tobytes() for row in pack_codes(queries)],
        anns_field=field,
        limit=k,
        search_params={"metric_type": "HAMMING"},
    )
    return [
        np.array([[hit[name] for hit in hits] for hits in found]) for name in ("distance", "id")
    ]


def assert_same_up_to_ties(found, index, queries, k):
    """Check that distances are equal, and that ids are those of items at these distances."""
    distances, ids = found
    exact, _ = index.kneighbors(queries, k)
    np.testing.assert_array_equal(distances, exact)
    everything = index.search(queries, len(index)).set_index(["query", "id"])["distance"]
    for query, (row, names) in enumerate(zip(distances, ids, strict=True)):
        assert len(set(names)) == k
        np.testing.assert_array_equal([everything[query, name] for name in names], row)


@pytest.mark.parametrize("ids", [None, IDS, np.arange(200) * 7 - 300])
def test_milvus_finds_what_the_index_finds(client, ids):
    index = HammingRetriever().fit(CODES, Y, ids=ids)
    to_milvus(index, client, "codes", batch_size=64)
    assert_same_up_to_ties(search(client, QUERIES, 30), index, QUERIES, 30)


@pytest.mark.parametrize("ids", [None, IDS])
def test_what_is_read_back_is_the_same(client, ids):
    index = HammingRetriever().fit(CODES, Y, ids=ids)
    to_milvus(index, client, "codes")
    copy = from_milvus(client, "codes", batch_size=30)
    np.testing.assert_array_equal(copy.words_["codes"], index.words_["codes"])
    np.testing.assert_array_equal(copy.y_, index.y_)
    np.testing.assert_array_equal(copy.ids_, np.arange(200) if ids is None else ids)
    for one, other in zip(copy.kneighbors(QUERIES), index.kneighbors(QUERIES), strict=True):
        np.testing.assert_array_equal(one, other)


def test_rows_that_are_read_are_in_the_order_of_the_ids(client):
    order = np.random.default_rng(3).permutation(200)
    to_milvus(HammingRetriever().fit(CODES[order], ids=IDS[order]), client, "codes")
    copy = from_milvus(client, "codes")
    assert copy.ids_.tolist() == IDS.tolist()
    np.testing.assert_array_equal(
        copy.words_["codes"], HammingRetriever().fit(CODES).words_["codes"]
    )


@pytest.mark.parametrize("special", ["\\", '"', "'", "\\n", "\t", "\x01", "{x}", "é\u2028"])
def test_ids_with_special_characters_are_read_back(client, special):
    ids = [f"C:{special}{number}{special}" for number in range(10)]
    to_milvus(HammingRetriever().fit(CODES[:10], ids=ids), client, "codes")
    copy = from_milvus(client, "codes", batch_size=3)
    assert copy.ids_.tolist() == sorted(ids)
    assert copy.search(CODES[:10], 1)["id"].tolist() == ids


def test_ids_with_line_breaks_are_not_read_back(client):
    to_milvus(HammingRetriever().fit(CODES[:2], ids=["a\nb", "c"]), client, "codes")
    with pytest.raises(ValueError, match="line breaks"):
        from_milvus(client, "codes", batch_size=1)


@pytest.mark.parametrize("n_bits", [3, 12, 75])
def test_lengths_that_are_no_multiple_of_8_are_padded(client, n_bits):
    codes, queries = (unpack_codes(random_codes(n, 10), n_bits=80)[:, :n_bits] for n in (200, 5))
    index = HammingRetriever().fit(codes)
    to_milvus(index, client, "codes")
    assert_same_up_to_ties(search(client, queries, 30), index, queries, 30)
    copy = from_milvus(client, "codes")
    assert copy.n_bits_ == n_bits
    for one, other in zip(copy.kneighbors(queries), index.kneighbors(queries), strict=True):
        np.testing.assert_array_equal(one, other)


def test_pairs(client):
    index = HammingRetriever().fit(make_table(image=CODES, text=CODES[::-1]))
    to_milvus(index, client, "codes")
    queries = make_table(text=QUERIES)
    assert_same_up_to_ties(search(client, QUERIES, 9, "image"), index, queries, 9)
    copy = from_milvus(client, "codes")
    assert copy.paired_
    for one, other in zip(copy.kneighbors(queries), index.kneighbors(queries), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "y",
    [
        np.arange(200) % 7,
        np.arange(200) / 8,
        np.arange(200) % 2 == 0,
        (np.arange(600) % 5 == 0).reshape(200, 3),
        (np.arange(600) % 5 == 0).reshape(200, 3).astype(int),
    ],
    ids=["integers", "floats", "booleans", "indicators", "integer indicators"],
)
def test_labels(client, y):
    to_milvus(HammingRetriever().fit(CODES, y), client, "codes")
    copy = from_milvus(client, "codes")
    assert copy.y_.dtype == y.dtype
    np.testing.assert_array_equal(copy.y_, y)
    assert from_milvus(client, "codes", label="none").y_ is None


def test_removed_items_are_left_out(client):
    index = HammingRetriever().fit(CODES, Y, ids=IDS).remove(IDS[50:150])
    to_milvus(index, client, "codes")
    assert_same_up_to_ties(search(client, QUERIES, 30), index, QUERIES, 30)
    assert from_milvus(client, "codes").ids_.tolist() == [*IDS[:50], *IDS[150:]]


def test_a_collection_of_others(client):
    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("key", pymilvus.DataType.INT64, is_primary=True)
    schema.add_field("hash", pymilvus.DataType.BINARY_VECTOR, dim=16)
    searched = client.prepare_index_params()
    searched.add_index("hash", index_type="BIN_FLAT", metric_type="HAMMING")
    client.create_collection("codes", schema=schema, index_params=searched)
    client.insert("codes", [{"key": i, "hash": row.tobytes()} for i, row in enumerate(CODES)])
    copy = from_milvus(client, "codes")
    np.testing.assert_array_equal(
        copy.words_["codes"], HammingRetriever().fit(CODES).words_["codes"]
    )


def test_what_is_refused(client):
    index = HammingRetriever().fit(CODES)
    to_milvus(index, client, "codes")
    with pytest.raises(ValueError, match="there is a collection 'codes' already"):
        to_milvus(index, client, "codes")
    with pytest.raises(ValueError, match="no items to write"):
        to_milvus(HammingRetriever().fit(CODES).remove(np.arange(200)), client, "none")
    dates = np.arange(200).astype("M8[D]")
    with pytest.raises(ValueError, match=r"labels of dtype datetime64\[D\] have no type in Milvus"):
        to_milvus(HammingRetriever().fit(CODES, dates), client, "none")
    with pytest.raises(ValueError, match="batch_size must be at most 16384"):
        from_milvus(client, "codes", batch_size=20_000)
    for field in ("id", "codes"):
        with pytest.raises(ValueError, match=f"'{field}' of the collection 'codes' holds ids or"):
            from_milvus(client, "codes", label=field)
    assert client.list_collections() == ["codes"]


def test_an_error_on_the_way_leaves_no_collection(client, monkeypatch):
    def insert(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(client, "insert", insert)
    with pytest.raises(KeyboardInterrupt):
        to_milvus(HammingRetriever().fit(CODES), client, "codes")
    assert client.list_collections() == []


def test_a_collection_without_codes_or_items(client):
    client.create_collection("floats", dimension=4)
    with pytest.raises(ValueError, match=r"one field of binary vectors, or two .* got \[\]"):
        from_milvus(client, "floats")
