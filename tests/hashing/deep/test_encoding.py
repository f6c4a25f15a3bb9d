"""Encoding in NumPy by what torch has trained."""

import pickle
import subprocess
import sys
import textwrap
from inspect import signature

import joblib
import numpy as np
import pytest
from scipy import sparse

from skhash.hashing import CFRHHasher
from skhash.hashing._deep import training
from skhash.hashing._deep.base import DeepHasher
from skhash.hashing._deep.encoding import encode
from skhash.hashing._deep.lazy import networks, torch

from ...hashers import HASHERS, labels_for
from ...without_torch import FORBID_TORCH

DEEP = [name for name, cls in HASHERS.items() if issubclass(cls, DeepHasher)]
FAST = {"max_iter": 3, "batch_size": 30, "graph_units": 8, "graph_iter": 2, "hidden_units": 50}


def pairs_of(widths, seed, n_rows=90):
    """Pairs of four topics; texts are not negative."""
    rng = np.random.default_rng(seed)
    topics = rng.normal(size=(n_rows, 4))
    image, text = (topics @ rng.normal(size=(4, width)) for width in widths)
    return np.hstack([image, np.maximum(text, 0) + 0.01]).astype(np.float32)


def fitted(name, X, n_image, **parameters):
    fast = {key: value for key, value in FAST.items() if key in signature(HASHERS[name]).parameters}
    settings = {"n_bits": 8, "random_state": 0, "device": "cpu", "output": "real"}
    hasher = HASHERS[name](**{**settings, **fast, "n_image_features": n_image, **parameters})
    return hasher.fit(X, labels_for(hasher, X))


def by_torch(hasher, X):
    blocks = {"image": X[:, : hasher.n_image_features_], "text": X[:, hasher.n_image_features_ :]}
    return np.hstack([training.encode(hasher, block, values) for block, values in blocks.items()])


@pytest.mark.parametrize("init", ["random", "cca"])
@pytest.mark.parametrize(
    ("seed", "widths", "n_bits"), [(0, (8, 12), 8), (1, (32, 32), 33), (2, (50, 200), 64)]
)
@pytest.mark.parametrize("name", DEEP)
def test_bits_are_those_of_torch(name, seed, widths, n_bits, init):
    X = pairs_of(widths, seed)
    hasher = fitted(name, X, widths[0], n_bits=n_bits, random_state=seed, init=init)
    assert hasher._in_numpy
    codes, expected = hasher.transform(X), by_torch(hasher, X)
    assert codes.dtype == np.float32
    np.testing.assert_allclose(codes, expected, atol=1e-5, rtol=0)
    np.testing.assert_array_equal(codes >= 0, expected >= 0)


def test_blocks_of_all_kinds_are_read_a_chunk_at_a_time(tmp_path, monkeypatch):
    X = pairs_of((8, 12), 0)
    hasher = fitted("CFRHHasher", X, 8)
    codes = hasher.transform(X)
    monkeypatch.setattr("skhash.hashing._deep.encoding.CHUNK", 7)
    read = []

    def noted(block, rows):
        read.append(rows)
        return training.dense_rows(block, rows)

    monkeypatch.setattr("skhash.hashing._deep.encoding.dense_rows", noted)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    for values in (X, mapped, sparse.csr_matrix(X), X.astype(np.float64)):
        read.clear()
        np.testing.assert_allclose(hasher.transform(values), codes, atol=1e-5)
        assert len(read) == 2 * 13
        assert max(rows.stop - rows.start for rows in read) == 7
    np.testing.assert_allclose(hasher.transform(X.astype(np.float16)), codes, atol=0.02)


def test_weights_may_be_a_memory_map_and_stay_as_they_are(tmp_path):
    X = pairs_of((8, 12), 0)
    hasher = fitted("DUCHHasher", X, 8)
    joblib.dump(hasher, tmp_path / "hasher.joblib")
    mapped = joblib.load(tmp_path / "hasher.joblib", mmap_mode="r")
    assert isinstance(mapped.text_state_["code.weight"], np.memmap)
    before = X.copy()
    np.testing.assert_array_equal(mapped.transform(X), hasher.transform(X))
    np.testing.assert_array_equal(X, before)


def test_codes_that_are_not_finite_are_refused_without_a_warning():
    X = pairs_of((8, 12), 0)
    hasher = fitted("CFRHHasher", X, 8)
    layers = ("hidden.weight", "code.weight")
    huge = {name: hasher.image_state_[name] * np.float32(1e37) for name in layers}
    hasher.image_state_ = {**hasher.image_state_, **huge}
    with pytest.raises(ValueError, match="finite"):
        hasher.encode_image(1e4 * X[:, :8])


class Doubled(CFRHHasher):
    """A hasher with encoders of its own."""

    def _networks(self, widths, generator):
        class Double(networks.Autoencoder):
            def project(self, z, embedded):
                return 2 * super().project(z, embedded)

        sizes = self.hidden_units, self.n_bits, generator
        return {block: Double(width, *sizes) for block, width in widths.items()}


def test_encoders_that_are_not_the_usual_ones_are_left_to_torch():
    X = pairs_of((8, 12), 0)
    settings = {"n_image_features": 8, "output": "real", "random_state": 0, "max_iter": 2}
    hasher = Doubled(8, batch_size=30, device="cpu", **settings).fit(X)
    loaded = pickle.loads(pickle.dumps(hasher))
    assert not loaded._in_numpy
    np.testing.assert_array_equal(loaded.transform(X), by_torch(hasher, X))
    usual = encode(hasher.image_state_, X[:, :8], hasher.alpha_)
    assert np.abs(usual - hasher.encode_image(X[:, :8])).max() > 0.01


def test_a_gpu_encodes_by_torch(monkeypatch):
    X = pairs_of((8, 12), 0)
    hasher = fitted("CFRHHasher", X, 8)
    monkeypatch.setattr(training, "encode", lambda *_: np.full((len(X), 8), 0.5))
    assert np.unique(hasher.transform(X)).size > 2
    for device in ("cuda", "cuda:1"):
        assert (hasher.set_params(device=device).transform(X) == 0.5).all()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert (hasher.set_params(device="auto").transform(X) == 0.5).all()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert np.unique(hasher.transform(X)).size > 2


WITHOUT = (
    FORBID_TORCH
    + """
import joblib, numpy as np
X, models, expected = joblib.load(sys.argv[1])
for name, model in models.items():
    codes = model.transform(X)
    halves = model.encode_image(X[:, :8]), model.encode_text(X[:, 8:])
    assert np.array_equal(codes, expected[name]), name
    assert np.array_equal(np.hstack(halves), codes), name
    assert 0 <= model.score(X) <= 1
assert "torch" not in sys.modules
for name, model in models.items():
    try:
        model.fit(X, np.arange(len(X)) % 3)
    except ImportError as error:
        assert str(error) == (
            "training a network needs torch, which is not installed: pip install torch."
        )
    else:
        raise AssertionError(f"{name} was fitted without torch")
    assert np.array_equal(model.transform(X), expected[name]), name
print("done")
"""
)


def test_loaded_hashers_need_no_torch_and_fit_says_what_to_install(tmp_path):
    X = pairs_of((8, 12), 0)
    models = {name: fitted(name, X, 8, device="auto") for name in DEEP}
    models["CFRHHasher, reweighted"] = fitted("CFRHHasher", X, 8, reweight=True)
    expected = {name: model.transform(X) for name, model in models.items()}
    joblib.dump((X, models, expected), tmp_path / "hashers.joblib")
    command = [sys.executable, "-c", WITHOUT, str(tmp_path / "hashers.joblib")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout == "done\n", done.stderr


def test_classes_of_hashers_load_no_torch():
    code = """
        import sys
        from skhash import hashing
        for module in (hashing, hashing.supervised):
            for name in module.__all__:
                getattr(module, name)(8)
        assert not {"torch", "open_clip"} & sys.modules.keys()
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)
