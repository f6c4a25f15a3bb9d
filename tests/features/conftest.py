import json
import os
import shutil
import sys
from contextlib import contextmanager

import numpy as np
import pytest

from skhash._libraries import import_with_torchvision

TINY = "tiny-clip-of-the-tests"


@pytest.fixture(scope="session")
def open_clip():
    return import_with_torchvision("open_clip")


CONFIG = {
    "embed_dim": 8,
    "vision_cfg": {
        "image_size": 16,
        "layers": 1,
        "width": 16,
        "head_width": 8,
        "patch_size": 8,
    },
    "text_cfg": {
        "context_length": 8,
        "vocab_size": 49408,
        "width": 8,
        "heads": 2,
        "layers": 1,
    },
}


@pytest.fixture(scope="session")
def tiny_config(tmp_path_factory):
    """Path of the configuration of an architecture that is built in milliseconds."""
    path = tmp_path_factory.mktemp("configs") / f"{TINY}.json"
    path.write_text(json.dumps(CONFIG))
    return path


@pytest.fixture(scope="session")
def tiny(open_clip, tiny_config):
    """Name of that architecture, known to open_clip."""
    open_clip.add_model_config(tiny_config)
    return tiny_config.stem


@pytest.fixture(scope="session")
def weights(open_clip, tiny, tmp_path_factory):
    """Path of a state dict of the tiny architecture."""
    import torch

    path = tmp_path_factory.mktemp("weights") / "tiny.pt"
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(7)
        torch.save(open_clip.create_model(tiny).state_dict(), path)
    return path


@pytest.fixture(scope="session")
def folder_model(weights, tmp_path_factory):
    """Name of a model with these weights that needs no registry: other processes know it, too."""
    folder = tmp_path_factory.mktemp("model")
    config = {"model_cfg": CONFIG, "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    shutil.copy(weights, folder / "open_clip_model.bin")
    return f"local-dir:{folder}"


@pytest.fixture
def put_into_cache():
    """Function that lays files into a cache folder as huggingface_hub does."""

    def put(cache, repo, files):
        root = cache / f"models--{repo.replace('/', '--')}"
        snapshot = root / "snapshots" / "a1b2c3"
        snapshot.mkdir(parents=True, exist_ok=True)
        (root / "refs").mkdir(exist_ok=True)
        (root / "refs" / "main").write_text("a1b2c3")
        for name, content in files.items():
            (snapshot / name).write_bytes(content)
        return snapshot

    return put


@pytest.fixture
def own_tag(monkeypatch, open_clip, weights, put_into_cache, tmp_path):
    """Let every tag name these weights, with an activation and preprocessing of their own."""
    put_into_cache(tmp_path, "owner/tiny", {"open_clip_pytorch_model.bin": weights.read_bytes()})
    tag = {
        "hf_hub": "owner/tiny/",
        "quick_gelu": True,
        "mean": (0.5, 0.5, 0.5),
        "std": (0.25, 0.5, 0.5),
        "interpolation": "bilinear",
        "resize_mode": "squash",
    }
    monkeypatch.setattr(open_clip, "get_pretrained_cfg", lambda *_: tag)
    return {"weights_dir": tmp_path, "local_files_only": True}


@pytest.fixture
def pictures():
    from PIL import Image

    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)) for _ in range(5)]


@pytest.fixture
def paths(pictures, tmp_path):
    names = [tmp_path / f"{row}.png" for row in range(len(pictures))]
    for name, picture in zip(names, pictures, strict=True):
        picture.save(name)
    return names


@pytest.fixture
def counted(monkeypatch):
    """How many items each batch through a model had, from now on."""
    from skhash.features._clip import featurizer as _clip
    from skhash.features._clip.forward import embedded

    counts = []

    def counting(batches, *args, **options):
        for positions, vectors, troubles in embedded(batches, *args, **options):
            counts.append(len(positions))
            yield positions, vectors, troubles

    monkeypatch.setattr(_clip, "embedded", counting)
    return counts


class Disk:
    """What is written below a folder, and how many times it goes well."""

    def __init__(self, folder):
        self.folder, self.on, self.error = str(folder), False, OSError()
        self.n_writes, self.n_allowed = 0, 0

    def write(self, path):
        if self.on and str(path).startswith(self.folder):
            self.n_writes += 1
            if self.n_writes > self.n_allowed:
                raise self.error

    @contextmanager
    def failing(self, error, after=0):
        """Let all that is written fail, but for the first times."""
        self.n_writes, self.n_allowed, self.error, self.on = 0, after, error, True
        try:
            yield
        finally:
            self.on = False


@pytest.fixture
def disk(tmp_path, monkeypatch):
    """A disk that can be full or read-only below `tmp_path`, whatever the user may do there."""
    disk, fsync = Disk(tmp_path), os.fsync

    def audit(event, args):  # stays to the end, so that it must do nothing when it is off
        if not disk.on:
            return
        if event in {"os.mkdir", "os.rename", "os.remove"} or (
            event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR)
        ):
            disk.write(os.fspath(args[0]) if not isinstance(args[0], int) else "")

    def synced(handle):
        disk.write(disk.folder)
        fsync(handle)

    sys.addaudithook(audit)
    monkeypatch.setattr(os, "fsync", synced)
    return disk
