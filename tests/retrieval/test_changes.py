"""Sequences of changes and searches of an index, against dictionaries and plain NumPy.

``pytest tests/retrieval/test_changes.py --hypothesis-profile=thorough`` draws 20,000 sequences.
"""

import copy
import os
import pickle
import tempfile
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from skhash import make_table
from skhash.codes import pack_codes
from skhash.retrieval import HammingRetriever

FORMATS = {
    "bits": lambda bits: bits,
    "packed": pack_codes,
    "mapped": pack_codes,
    "table": lambda bits: make_table(image=bits, text=bits),
}
SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.sampled_from([1, 2, 5, 40])


class Item:
    """What the model holds of an item."""

    def __init__(self, bits, label, group):
        self.bits, self.label, self.group = bits, label, group


class Changes(RuleBasedStateMachine):
    """An index beside a dictionary of its items by id, in the order of their rows."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.synced = patch("os.fsync", lambda handle: None)  # disks are slow
        self.synced.start()

    def teardown(self):
        self.synced.stop()
        self.folder.cleanup()

    # The model

    def draw(self, rng, n_items, labelled=None):
        bits = rng.random((n_items, self.width)) < 0.5
        if not (self.labelled if labelled is None else labelled):
            return bits, None
        if self.labelled == "classes":
            return bits, rng.integers(0, 3, n_items)
        return bits, (rng.random((n_items, 3)) < 0.4).astype(int)

    def codes(self, bits):
        codes = FORMATS[self.form](bits)
        if self.form != "mapped":
            return codes
        handle, path = tempfile.mkstemp(dir=self.folder.name)
        os.close(handle)
        codes.tofile(path)
        return np.memmap(path, dtype=np.uint8, mode="r", shape=codes.shape)

    def hold(self, ids, bits, y):
        """Put items into the model, those that are there in their places."""
        for number, key in enumerate(ids):
            held = self.items.get(key)
            if y is not None:
                label = y[number]
                label = tuple(np.flatnonzero(label)) if np.ndim(label) else int(label)
            else:
                label = held.label if held else None
            group = held.group if held else self.n_added % 4
            self.n_added += held is None
            self.items[key] = Item(bits[number], label, group)

    def expected(self, queries, k, passing, grouped=False, alone=None):
        """Return the results of each query: rank, id, distance and label."""
        lines = []
        for number, query in enumerate(queries):
            order = sorted(
                (int(np.sum(item.bits != query)), row, key)
                for row, (key, item) in enumerate(self.items.items())
                if key in passing and row != (number if alone else None)
            )
            seen, rank = set(), 0
            for distance, _, key in order:
                group = self.items[key].group
                if rank < k and not (grouped and group in seen):
                    rank += 1
                    lines.append((number, rank, key, distance, self.items[key].label))
                seen.add(group)
        return lines

    def check(self, frame, lines, exact):
        columns = ["query", "rank", "id", "distance", *(["label"] if self.labelled else [])]
        assert list(frame.columns) == columns
        if not exact:  # faiss takes any of the items at the largest distance
            columns = ["query", "rank", "distance"]
            lines = [(line[0], line[1], line[3]) for line in lines]
        found = [tuple(row) for row in frame[columns].itertuples(index=False)]
        assert found == [line[: len(columns)] for line in lines]

    def by_row(self, values, rest):
        """Return an array with an entry a row, of rows of items and of removed ones."""
        array = np.full(self.index.n_samples_fit_, rest)
        array[self.index._item_rows()] = values
        return array

    # Changes

    @initialize(
        algorithm=st.sampled_from(["numpy", "numba", "faiss-ivf"]),
        form=st.sampled_from(list(FORMATS)),
        width=st.sampled_from([8, 16, 72]),
        labelled=st.sampled_from([None, "classes", "indicators"]),
        kind=st.sampled_from([None, int, str]),
        n_jobs=st.sampled_from([1, 2]),
        size=SIZES,
        seed=SEEDS,
    )
    def fit(self, algorithm, form, width, labelled, kind, n_jobs, size, seed):
        self.exact = algorithm != "faiss-ivf"
        self.form, self.width, self.labelled, self.kind = form, width, labelled, kind
        self.index = HammingRetriever(3, algorithm=algorithm, nprobe=1000, n_jobs=n_jobs)
        self.items, self.saved, self.n_added, self.next = {}, None, 0, 0
        bits, y = self.draw(np.random.default_rng(seed), size)
        ids = self.new_ids(np.random.default_rng(seed), size)
        assert self.index.fit(self.codes(bits), y, ids=self.given(ids)) is self.index
        self.hold(ids, bits, y)

    def new_ids(self, rng, size):
        """Return ids that are not in use; some have been, where ids are given."""
        if self.kind is None:
            ids = list(range(self.next, self.next + size))
            self.next += size
            return ids
        free = [
            key
            for key in range(-30, 60 + len(self.items) + size)
            if self.key(key) not in self.items
        ]
        return [self.key(key) for key in rng.choice(free, size, replace=False)]

    def key(self, number):
        return f"{number}.jpg" * (1 + number % 2) if self.kind is str else int(number)

    def given(self, ids):
        return None if self.kind is None else ids

    @rule(size=SIZES, seed=SEEDS)
    def append(self, size, seed):
        rng = np.random.default_rng(seed)
        bits, y = self.draw(rng, size)
        ids = self.new_ids(rng, size)
        self.index.partial_fit(self.codes(bits), y, ids=self.given(ids))
        self.hold(ids, bits, y)

    def some(self, rng, share):
        return [key for key in self.items if rng.random() < share]

    @rule(share=st.sampled_from([0.05, 0.3, 0.9, 1]), seed=SEEDS)
    def remove(self, share, seed):
        ids = self.some(np.random.default_rng(seed), share)
        self.index.remove(ids if seed % 2 else set(ids))
        for key in ids:
            del self.items[key]

    @rule(share=st.sampled_from([0.1, 0.6]), labelled=st.booleans(), seed=SEEDS)
    def update(self, share, labelled, seed):
        rng = np.random.default_rng(seed)
        ids = self.some(rng, share)
        assume(ids)
        rng.shuffle(ids)
        bits, y = self.draw(rng, len(ids), labelled and self.labelled)
        self.index.update(self.codes(bits), ids, y)
        self.hold(ids, bits, y)

    @rule()
    def compact(self):
        self.index.compact()
        assert self.index.n_samples_fit_ == len(self.items)

    @rule(what=st.sampled_from(["known", "unknown", "twice", "type", "number", "none"]), seed=SEEDS)
    def refused(self, what, seed):
        bits, y = self.draw(np.random.default_rng(seed), 2)
        codes, held = self.codes(bits), list(self.items)[:1]
        before = dict(vars(self.index))
        calls = {
            "known": lambda: self.index.partial_fit(codes[:1], y, ids=held),
            "unknown": lambda: self.index.remove([*held, self.key(999)]),
            "twice": lambda: self.index.update(codes, 2 * held, y),
            "type": lambda: self.index.remove([1] if self.kind is str else ["1"]),
            "number": lambda: self.index.update(codes, held, y),
            "none": lambda: self.index.partial_fit(codes, y, ids=None if self.kind else [0, 1]),
        }
        assume(held or what not in ("known", "twice", "number", "type"))
        with pytest.raises((ValueError, TypeError)):
            calls[what]()
        after = vars(self.index)
        assert after.keys() - {"_dense", "_lists"} == before.keys() - {"_dense", "_lists"}
        assert all(after[name] is before[name] for name in before)

    # Copies

    @rule()
    def save(self):
        self.index.save(self.folder.name)
        self.saved = copy.copy(self.items), self.n_added, self.next

    @precondition(lambda self: self.saved is not None)
    @rule(mmap_mode=st.sampled_from(["r", None]))
    def open(self, mmap_mode):
        self.index = HammingRetriever.open(self.folder.name, mmap_mode=mmap_mode)
        self.items, self.n_added, self.next = (copy.copy(value) for value in self.saved)
        assert self.index.n_samples_fit_ == len(self.items)

    @rule(way=st.sampled_from([copy.copy, copy.deepcopy, lambda i: pickle.loads(pickle.dumps(i))]))
    def copy(self, way):
        copied = way(self.index)
        copied.remove(list(self.items)[:3])  # which is nothing to the original
        copied = way(self.index)
        self.index = copied

    # Searches

    def queries(self, seed):
        bits, _ = self.draw(np.random.default_rng(seed), 3)
        codes = FORMATS[self.form](bits)
        return bits, codes.filter(like="image") if self.form == "table" else codes

    @rule(seed=SEEDS, k=st.sampled_from([1, 3, 100]), way=st.integers(0, 4), grouped=st.booleans())
    def search(self, seed, k, way, grouped):
        rng = np.random.default_rng(seed)
        bits, codes = self.queries(seed)
        passing, where = set(self.some(rng, rng.choice([0.1, 0.7]))), None
        if way == 0:
            passing = set(self.items)
        elif way == 1:
            where = self.by_row([key in passing for key in self.items], True)
        elif way == 2:
            where = passing
        elif way == 3:
            where = list(passing)
        elif self.labelled == "classes":
            passing = {key for key, item in self.items.items() if item.label == 1}
            where = lambda labels: labels == 1  # noqa: E731
        elif self.labelled:
            passing = {key for key, item in self.items.items() if 1 in item.label}
            where = lambda labels: labels[:, 1] == 1  # noqa: E731
        else:
            passing = set(self.items)
        groups = self.by_row([item.group for item in self.items.values()], 9) if grouped else None
        frame = self.index.search(codes, k, where=where, groups=groups)
        exact = self.exact or where is not None
        self.check(frame, self.expected(bits, k, passing, grouped), exact)

    @precondition(lambda self: self.form != "table")
    @rule(seed=SEEDS, k=st.sampled_from([1, 4]), filtered=st.booleans(), grouped=st.booleans())
    def search_itself(self, seed, k, filtered, grouped):
        rng, passing = np.random.default_rng(seed), set(self.items)
        where = groups = None
        if filtered:
            passing = set(self.some(rng, 0.5))
            where = passing
        if grouped:
            groups = self.by_row([str(item.group) for item in self.items.values()], "none")
        queries = [item.bits for item in self.items.values()]
        frame = self.index.search(None, k, where=where, groups=groups)
        exact = self.exact or where is not None
        self.check(frame, self.expected(queries, k, passing, grouped, alone=True), exact)

    @rule(seed=SEEDS)
    def neighbors(self, seed):
        bits, codes = self.queries(seed)
        rows, keys = self.index._item_rows(), list(self.items)
        assert len(self.index) == len(rows) == len(keys)
        assert self.index._ids.of(rows).tolist() == keys
        assert bool(self.index)
        held = np.array([item.bits for item in self.items.values()]).reshape(-1, self.width)
        distances = (bits[:, None] != held).sum(axis=2)
        if len(keys) < 3:
            with pytest.raises(ValueError, match=f"for {len(keys)} items"):
                self.index.kneighbors(codes)
        else:
            order = np.argsort(distances, axis=1, kind="stable")[:, :3]
            found = self.index.kneighbors(codes)
            np.testing.assert_array_equal(found[0], np.take_along_axis(distances, order, axis=1))
            if self.exact:
                np.testing.assert_array_equal(found[1], rows[order])
            assert self.index.recall_against_exact(codes) == 1
        radius = self.width // 2 - 1
        for line, found, where in zip(
            distances, *self.index.radius_neighbors(codes, radius), strict=True
        ):
            order = [row for row in np.argsort(line, kind="stable") if line[row] <= radius]
            assert found.tolist() == line[order].tolist()
            assert where.tolist() == rows[order].tolist()


TestChanges = Changes.TestCase
TestChanges.settings = settings(stateful_step_count=12)
