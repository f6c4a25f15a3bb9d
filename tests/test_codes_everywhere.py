"""Everything public that takes codes reads them alike, found by its signature."""

import inspect
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from PIL import Image
from scipy import sparse

import skhash
from skhash.codes import pack_codes
from skhash.metrics import RetrievalScorer

# The scorer is tested by name; the display reads scores.
NO_CODES = {"bootstrap_interval", "RetrievalScorer", "HasherSearchDisplay"}
pytestmark = pytest.mark.filterwarnings("ignore:X has feature names")

bits = np.random.default_rng(0).random((8, 32)) < 0.5
packed = pack_codes(bits)
real = np.where(bits, 0.5, -0.25)
y = np.arange(8) % 2
words = [f"text {i}" for i in range(8)]
GIVEN = {
    "y": y,
    "y_query": y,
    "y_gallery": y,
    "output": "bits",
    "query_items": words,
    "gallery_items": words,
    "n_queries": 2,
    "n_neighbors": 2,
}


class Encoder:
    """Stands for a fitted pipeline whose codes are these."""

    def __init__(self, codes):
        self.codes = codes

    def transform(self, X):
        return self.codes


def call(function):
    """Return the function of codes alone that gives a public function all else that it needs."""
    parameters = inspect.signature(function).parameters
    names = [name for name in parameters if name in ("codes", "query_codes", "gallery_codes")]
    if "gallery" in parameters and "codes" in parameters:
        names.append("gallery")
    needed = {name: GIVEN[name] for name in parameters if name in GIVEN and name not in names}
    return lambda codes: function(**dict.fromkeys(names, codes), **needed)


def search(method):
    """Return a method of an index of the same codes as a function of its argument."""

    def read(codes):
        index = skhash.retrieval.HammingRetriever(n_neighbors=2)
        if method != "fit":
            is_packed = getattr(codes, "shape", ())[1:] == packed.shape[1:]
            index.fit(packed if is_packed else bits, y)
        ask = getattr(index, method)
        given = {"y": y} if "y" in inspect.signature(ask).parameters else {}
        result = ask(codes, **given, **({"ids": range(len(y))} if method == "update" else {}))
        return index.words_["codes"] if result is index else result

    return read


def readers():
    for module in (skhash.codes, skhash.metrics):
        for name in set(module.__all__) - NO_CODES:
            value = getattr(module, name)
            if inspect.isclass(value):
                table = pd.DataFrame({"image": [np.zeros((2, 2), np.uint8)] * 8, "text": words})
                yield f"{name}.from_codes", call(value.from_codes)
                yield (
                    f"{name}.from_estimator",
                    lambda codes, v=value, t=table: v.from_estimator(Encoder(codes), t, y),
                )
            else:
                yield name, call(value)
    yield "RetrievalScorer", lambda codes: RetrievalScorer()(Encoder(codes), bits, y)
    for name in skhash.retrieval.__all__:
        for method, function in inspect.getmembers(
            getattr(skhash.retrieval, name), inspect.isfunction
        ):
            if "X" in inspect.signature(function).parameters and not method.startswith("_"):
                yield f"{name}.{method}", search(method)


READERS = dict(sorted(readers()))


def answer(result):
    """Return what a call answers in a form that can be compared."""
    if hasattr(result, "to_frame"):
        return result.to_frame().to_numpy(dtype=float)
    if "Display" in type(result).__name__:
        names = inspect.signature(type(result)).parameters
        return [vars(result)[name] for name in names if name != "queries"]
    return result.toarray() if sparse.issparse(result) else result


def outcome(read, codes):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return answer(read(codes))
        except (TypeError, ValueError) as error:
            return type(error).__name__, str(error)


def table(array):
    return pd.DataFrame(array)


SAME = {
    "nullable bits": (bits, table(bits).astype("boolean")),
    "arrow bits": (bits, table(bits).astype("bool[pyarrow]")),
    "object bits": (bits, bits.astype(object)),
    "categories": (bits, table(bits).astype("category")),
    "polars bits": (bits, pl.from_numpy(bits)),
    "pyarrow bits": (bits, pl.from_numpy(bits).to_arrow()),
    "nullable bytes": (packed, table(packed).astype("UInt8")),
    "polars bytes": (packed, pl.from_numpy(packed)),
    "pyarrow bytes": (packed, pl.from_numpy(packed).to_arrow()),
    "polars floats": (real, pl.from_numpy(real)),
    "nullable floats": (real, table(real).astype("Float64")),
    "wide signs": (np.where(bits, 1, -1).astype(np.int8), np.where(bits, 1, -1)),
}
RAW = {
    "a text": "a red dog",
    "a path": Path("a.jpg"),
    "bytes": b"pixels",
    "texts": words,
    "an array of texts": np.array(words),
    "texts of polars": pl.Series(words),
    "pictures": [Image.new("RGB", (4, 4))],
    "a column of pictures": pd.Series([Image.new("RGB", (4, 4))]),
    "raw pairs": pd.DataFrame({"image": words, "text": words}),
    "a raw table of polars": pl.DataFrame({"text": words}),
}
HOSTILE = {
    "integers": bits.astype(int),
    "floats of 0 and 1": bits.astype(float),
    "unpacked bytes": bits.astype(np.uint8),
    "packed integers": packed.astype(int),
    "packed floats": packed.astype(float),
    "packed lists": packed.tolist(),
    "a column of integers": table(bits).assign(**{"31": 1}),
    "missing bits": table(bits).astype("boolean").mask(bits),
    "missing objects": table(bits).astype(object).mask(bits),
    "NaN": np.where(bits, np.nan, real),
    "strings": bits.astype(str),
    "complex": real * 1j,
    "sparse": sparse.csr_array(bits.astype(float)),
    "masked": np.ma.array(bits, mask=bits),
    "one dimension": bits[0],
    "a dict": {"codes": bits},
    **RAW,
    "nothing": None,
}


@pytest.fixture(autouse=True)
def nothing_is_drawn(monkeypatch):
    for name in skhash.metrics.__all__:
        if name.endswith("Display"):
            draw = lambda self, *args, **kwargs: self  # noqa: E731
            monkeypatch.setattr(getattr(skhash.metrics, name), "plot", draw)


def assert_same(found, expected):
    assert type(found) is type(expected)
    if isinstance(found, (list, tuple)):
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    else:
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("reader", READERS)
def test_plain_codes_are_read(reader):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert READERS[reader](packed if reader == "unpack_codes" else bits) is not None


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("given", SAME)
def test_a_container_changes_no_answer(reader, given):
    plain, codes = SAME[given]
    assert_same(*(outcome(READERS[reader], array) for array in (codes, plain)))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("given", HOSTILE)
def test_what_cannot_be_told_is_refused(reader, given):
    if given == "nothing" and reader.startswith("HammingRetriever."):
        return  # the rows of the index itself
    if given == "unpacked bytes" and reader == "unpack_codes":
        return  # who unpacks says that they are packed
    with pytest.raises((TypeError, ValueError)) as caught:
        READERS[reader](HOSTILE[given])
    assert str(caught.value)[-1] == "."
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("given", RAW)
def test_raw_items_are_told_where_to_go(reader, given):
    with pytest.raises(
        TypeError, match=r"codes are needed, got .* the fitted pipeline that begins"
    ):
        READERS[reader](RAW[given])


def test_every_public_name_of_codes_is_here():
    assert {"kneighbors", "fit", "predict"} <= {name.partition(".")[2] for name in READERS}
    for module in (skhash.codes, skhash.metrics):
        assert set(module.__all__) <= {name.partition(".")[0] for name in READERS} | NO_CODES
