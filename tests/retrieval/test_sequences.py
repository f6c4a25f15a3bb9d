"""Sequences of calls of an index, refused ones among them, against a model of plain NumPy.

``pytest tests/retrieval/test_sequences.py --hypothesis-profile=thorough`` draws 20,000 sequences.
"""

import copy
import pickle
import tempfile
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError

from skhash import make_table
from skhash.codes import pack_codes
from skhash.retrieval import HammingRetriever

FORMATS = {
    "bits": lambda bits: bits,
    "packed": pack_codes,
    "signs": lambda bits: np.where(bits, 1, -1).astype(np.int8),
    "table": lambda bits: make_table(image=bits, text=bits),
}
WIDTHS = st.sampled_from([8, 16, 64, 72])
CALLS = st.one_of(
    st.tuples(st.just("fit"), st.sampled_from(list(FORMATS)), WIDTHS, st.booleans()),
    st.tuples(
        st.sampled_from(
            ["append", "append more", "kneighbors", "predict", "radius", "save", "open"]
        )
    ),
    st.tuples(st.just("copy"), st.sampled_from([copy.deepcopy, copy.copy, "pickle"])),
    st.tuples(
        st.just("refused"),
        st.sampled_from(["fit", "partial_fit"]),
        st.sampled_from(["labels", "NaN", "parameter", "floats", "width", "labels appended"]),
    ),
)


class Model:
    """What an index holds, as arrays, and what it should answer."""

    def __init__(self, kind, bits, y):
        self.kind, self.bits, self.y = kind, bits, y

    def nearest(self, queries, k):
        distances = (queries[:, None] != self.bits[None]).sum(axis=2)
        rows = np.argsort(distances, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(distances, rows, axis=1), rows


class Sequence:
    """An index, its model, and what has been saved."""

    def __init__(self, algorithm, seed, folder):
        self.index = HammingRetriever(2, radius=3, algorithm=algorithm)
        self.rng, self.folder = np.random.default_rng(seed), folder
        self.model = self.saved = None

    def draw(self, n_rows, width=None):
        bits = self.rng.random((n_rows, width or self.model.bits.shape[1])) < 0.5
        return bits, self.rng.integers(0, 5, n_rows)

    def queries(self):
        bits, _ = self.draw(3)
        codes = FORMATS[self.model.kind](bits)
        # One direction of pairs: both of their blocks hold the same bits.
        return bits, codes.filter(like="image") if self.model.kind == "table" else codes

    def fit(self, kind, width, labelled):
        bits, y = self.draw(int(self.rng.integers(2, 9)), width)
        y = y if labelled else None
        assert self.index.fit(FORMATS[kind](bits), y) is self.index
        self.model = Model(kind, bits, y)

    def append(self, n_rows=1):
        bits, y = self.draw(n_rows)
        y = None if self.model.y is None else y
        self.index.partial_fit(FORMATS[self.model.kind](bits), y)
        held = self.model
        y = None if y is None else np.concatenate([held.y, y])
        self.model = Model(held.kind, np.concatenate([held.bits, bits]), y)

    def refused(self, method, what):
        width = 16 if self.model is None else self.model.bits.shape[1]
        kind = "bits" if self.model is None else self.model.kind
        bits, y = self.draw(4, width)
        codes = FORMATS[kind](bits)
        if what == "labels":
            y = y[:-1]
        elif what == "NaN":
            codes, y = np.full(np.shape(codes), np.nan), None
        elif what == "floats":
            codes, y = bits.astype(float), None
        elif what == "width":
            if method == "fit" or self.model is None:
                return
            codes = FORMATS[kind](self.draw(4, width + 8)[0])
            y = None if self.model.y is None else y
        elif what == "labels appended":
            if method == "fit" or self.model is None:
                return
            y = y if self.model.y is None else y.astype(str)
        else:
            self.index.set_params(n_neighbors=-1)
        before = dict(vars(self.index))
        with pytest.raises((ValueError, TypeError)):
            getattr(self.index, method)(codes, y)
        after = vars(self.index)
        assert after.keys() == before.keys()
        assert all(after[name] is value for name, value in before.items())
        self.index.set_params(n_neighbors=2)

    def kneighbors(self):
        bits, codes = self.queries()
        expected = self.model.nearest(bits, 2)
        np.testing.assert_array_equal(self.index.kneighbors(codes), expected)

    def radius(self):
        bits, codes = self.queries()
        distances, rows = self.index.radius_neighbors(codes)
        nearest = zip(*self.model.nearest(bits, None), strict=True)
        for far, found, (every, order) in zip(distances, rows, nearest, strict=True):
            n_within = np.sum(every <= 3)
            np.testing.assert_array_equal(found, order[:n_within])
            np.testing.assert_array_equal(far, every[:n_within])

    def predict(self):
        bits, codes = self.queries()
        if self.model.y is None:
            with pytest.raises(ValueError, match="the index has no labels to predict"):
                self.index.predict(codes)
        else:
            right = self.model.y[self.model.nearest(bits, 1)[1][:, 0]]
            np.testing.assert_array_equal(self.index.predict(codes), right)

    def save(self):
        self.index.save(self.folder)
        self.saved = self.model

    def open(self):
        if self.saved is None:
            with pytest.raises(FileNotFoundError):
                HammingRetriever.open(self.folder)
        else:
            self.index, self.model = HammingRetriever.open(self.folder), self.saved

    def copy(self, way):
        copied = pickle.loads(pickle.dumps(self.index)) if way == "pickle" else way(self.index)
        if self.model is not None:
            # What happens to a copy is nothing to the original.
            bits, y = self.draw(3)
            y = None if self.model.y is None else y
            copied.partial_fit(FORMATS[self.model.kind](bits), y)

    def run(self, name, *arguments):
        """Make one call; all but a fit need an index that has been fitted."""
        if name in ("fit", "open", "refused", "copy"):
            getattr(self, name)(*arguments)
        elif self.model is None:
            with pytest.raises(NotFittedError):
                self.index.kneighbors([[True] * 16])
        elif name == "append more":
            self.append(40)
        else:
            getattr(self, name)()


@patch("os.fsync", lambda handle: None)  # no power fails here, and disks are slow
@given(
    st.sampled_from(["numpy", "numba"]),
    st.integers(0, 2**32 - 1),
    st.lists(CALLS, min_size=2, max_size=8),
)
def test_any_sequence_of_calls_answers_as_plain_numpy_does(algorithm, seed, calls):
    with tempfile.TemporaryDirectory() as folder:
        sequence = Sequence(algorithm, seed, folder)
        for call in calls:
            sequence.run(*call)
        if sequence.model is not None:
            sequence.kneighbors()
            sequence.predict()
