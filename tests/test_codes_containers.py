"""Codes in any container and type: the right answer, or an error.

``pytest tests/test_codes_containers.py --hypothesis-profile=thorough`` draws 20,000 examples.
"""

import io

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from skhash.codes import convert_codes, pack_codes
from skhash.metrics import average_precision
from skhash.retrieval import HammingRetriever


def magnitudes(bits, dtype):
    sizes = np.random.default_rng(0).uniform(0.1, 1, bits.shape)
    return np.where(bits, sizes, -sizes).astype(dtype)


GOOD = {
    "bits": lambda bits: bits,
    "packed": pack_codes,
    "signs": lambda bits: convert_codes(bits, "signs"),
    "wide signs": lambda bits: convert_codes(bits, "signs").astype(np.int64),
    "real16": lambda bits: magnitudes(bits, np.float16),
    "real32": lambda bits: magnitudes(bits, np.float32),
    "real64": lambda bits: magnitudes(bits, np.float64),
}
BAD = {
    "integers": lambda bits: bits.astype(np.int64),
    "bytes": lambda bits: bits.astype(np.uint8),
    "floats": lambda bits: bits.astype(float),
    "packed integers": lambda bits: pack_codes(bits).astype(np.int32),
    "packed words": lambda bits: pack_codes(bits).astype(np.uint16),
    "packed floats": lambda bits: pack_codes(bits).astype(np.float32),
}


def frame(array):
    return pd.DataFrame(array, columns=[f"c{i}" for i in range(array.shape[1])])


def arrow(array):
    return pa.table({f"c{i}": np.ascontiguousarray(column) for i, column in enumerate(array.T)})


def mapped(array):
    file = io.BytesIO()
    np.save(file, array)
    return np.lib.format.read_array(io.BytesIO(file.getvalue())).view(np.memmap)


def wide(array):
    """Return an array that polars and pandas' own types can hold, which have no float16."""
    return array.astype(np.float32) if array.dtype == np.float16 else array


CONTAINERS = {
    "array": lambda array: array,
    "columns first": np.asfortranarray,
    "strided": lambda array: np.repeat(array, 2, axis=0)[::2][::-1][::-1],
    "matrix map": mapped,
    "masked": np.ma.array,
    "objects": lambda array: array.astype(object),
    "lists": lambda array: array.tolist(),
    "tuples": lambda array: tuple(map(tuple, array.tolist())),
    "list of arrays": list,
    "pandas": frame,
    "pandas objects": lambda array: frame(array).astype(object),
    "nullable": lambda array: frame(wide(array)).convert_dtypes(),
    "pandas on arrow": lambda a: frame(a).astype(pd.ArrowDtype(pa.from_numpy_dtype(a.dtype))),
    "categories": lambda array: frame(wide(array)).astype("category"),
    "csv": lambda array: pd.read_csv(io.StringIO(frame(array).to_csv(index=False))),
    "polars": lambda array: pl.DataFrame(frame(wide(array))),
    "arrow": arrow,
    "arrow batch": lambda array: arrow(array).to_batches()[0],
}  # fmt: skip
# These hold the integers of Python, which do not say that they were bytes.
FORGETFUL = {"objects", "lists", "tuples", "pandas objects", "csv"}


@st.composite
def drawn_bits(draw):
    shape = draw(st.integers(2, 6)), draw(st.integers(1, 26))
    share = draw(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]))
    return np.random.default_rng(draw(st.integers(0, 2**32 - 1))).random(shape) < share


def brute_force(bits):
    distances = (bits[:, None] != bits).sum(axis=2)
    rows = np.argsort(distances, axis=1, kind="stable")
    return np.take_along_axis(distances, rows, axis=1), rows


def must_be_right(form, container, bits):
    """Say whether these must be read, must be refused, or (None) may be either."""
    if container == "arrow batch":
        return False  # narwhals does not read it
    if form in GOOD:
        return form != "packed" or container not in FORGETFUL or bool((pack_codes(bits) == 1).all())
    if (BAD[form](bits) == 1).all():
        return None  # True, +1 and the byte 1 at once
    if form == "bytes" and container not in FORGETFUL:
        return False if bits.shape[1] > 8 and bits.any() else None
    return False


@given(
    bits=drawn_bits(),
    form=st.sampled_from([*GOOD, *BAD]),
    container=st.sampled_from([*CONTAINERS]),
)
def test_codes_give_the_right_answer_or_an_error(bits, form, container):
    codes = CONTAINERS[container]({**GOOD, **BAD}[form](bits))
    right = must_be_right(form, container, bits)
    n = len(bits)
    try:
        found = HammingRetriever(n_neighbors=n).fit(codes).kneighbors(codes)
    except (TypeError, ValueError) as error:
        if right:
            raise
        event("refused")
        for refuse in (pack_codes, lambda c: average_precision(c, c)):
            with pytest.raises(type(error)):
                refuse(codes)
        return
    assert right is not False
    event("read")
    np.testing.assert_array_equal(found, brute_force(bits))
    if form == "bytes" or "packed" in form:
        n_bits = bits.shape[1] if form == "packed" and container not in FORGETFUL else None
    else:
        n_bits = bits.shape[1]
    if n_bits is not None:
        np.testing.assert_array_equal(convert_codes(codes, "bits", n_bits=n_bits), bits)
        np.testing.assert_array_equal(pack_codes(codes), np.packbits(bits, 1, bitorder="little"))
    if "real" not in form:
        y = np.arange(n) % 2
        np.testing.assert_array_equal(
            average_precision(codes, codes, y, y), average_precision(bits, bits, y, y)
        )


@given(
    bits=drawn_bits(),
    forms=st.permutations(["bits", "packed", "signs", "real64", "packed words"]),
    place=st.integers(0, 25),
    container=st.sampled_from([pd.DataFrame, pl.DataFrame, pa.table]),
)
def test_a_column_of_another_kind_is_refused(bits, forms, place, container):
    most, one = ({**GOOD, **BAD}[form](bits) for form in forms[:2])
    columns = {f"c{i}": column.copy() for i, column in enumerate(most.T)}
    columns["odd"] = one[:, 0].copy()
    names = list(columns)
    names.insert(place % len(names), names.pop())
    codes = container({name: columns[name] for name in names})
    for read in (HammingRetriever().fit, pack_codes, lambda c: average_precision(c, c)):
        with pytest.raises(TypeError, match="the columns of the codes differ in type"):
            read(codes)


# The calls by which the fault was found, with the distances that are right.
z = np.random.default_rng(0).standard_normal((6, 16))
bits = z > 0
packed = pack_codes(bits)


@pytest.mark.parametrize(
    "codes",
    [bits.astype(object), frame(bits).astype("boolean"), frame(bits).astype("bool[pyarrow]"),
     frame(packed).astype("UInt8"), frame(bits).astype("category"), pl.DataFrame(frame(bits)),
     arrow(packed), bits.tolist(), z, z.astype(np.float16)],
)  # fmt: skip
def test_what_can_be_read_has_the_right_distances(codes):
    index = HammingRetriever(n_neighbors=3).fit(codes)
    distances, _ = index.kneighbors(codes[:1])
    assert distances.tolist() == [[0, 5, 6]]


@pytest.mark.parametrize(
    "codes",
    [CONTAINERS["csv"](packed), packed.tolist(), bits.astype(float), bits.astype(np.uint8),
     bits.astype(int), frame(bits).assign(c3=1), frame(bits).assign(c3=0.5)],
)  # fmt: skip
def test_what_could_be_two_things_is_refused(codes):
    with pytest.raises(TypeError, match=r"astype\(|differ in type|hold bool"):
        HammingRetriever(n_neighbors=3).fit(codes)


@pytest.mark.parametrize(
    "codes",
    [frame(bits).astype("boolean").mask(bits), frame(bits).astype(object).mask(bits),
     pl.DataFrame({"a": [True, None]}), pa.table({"a": pa.array([3, None], pa.uint8())}),
     frame(z).mask(bits)],
)  # fmt: skip
def test_a_missing_value_is_refused(codes):
    with pytest.raises(ValueError, match=r"must have no missing values|must be finite"):
        HammingRetriever(n_neighbors=1).fit(codes)


@pytest.mark.filterwarnings("ignore:X has feature names")
def test_an_index_of_bits_is_searched_by_codes_of_any_container():
    index = HammingRetriever().fit(bits)
    for container, put in CONTAINERS.items():
        if container != "arrow batch":
            np.testing.assert_array_equal(index.kneighbors(put(bits)), index.kneighbors(bits))
