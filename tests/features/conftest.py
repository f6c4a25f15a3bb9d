import json

import numpy as np
import pytest

from skhash._torchvision import import_with_torchvision

TINY = "tiny-clip-of-the-tests"


@pytest.fixture(scope="session")
def open_clip():
    return import_with_torchvision("open_clip")


@pytest.fixture(scope="session")
def tiny(open_clip, tmp_path_factory):
    """Name of an architecture that is built in milliseconds, without any download."""
    path = tmp_path_factory.mktemp("configs") / f"{TINY}.json"
    path.write_text(json.dumps(tiny_config()))
    open_clip.add_model_config(path)
    return TINY


def tiny_config():
    return {
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
def weights(open_clip, tiny, tmp_path_factory):
    """Path of a state dict of the tiny architecture."""
    import torch

    path = tmp_path_factory.mktemp("weights") / "tiny.pt"
    torch.save(make_model(open_clip, tiny).state_dict(), path)
    return path


def make_model(open_clip, name, seed=7):
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return open_clip.create_model(name).eval()


@pytest.fixture
def pictures():
    from PIL import Image

    rng = np.random.default_rng(0)
    return [
        Image.fromarray(rng.integers(0, 256, (20, 24, 3), dtype=np.uint8), "RGB") for _ in range(5)
    ]


@pytest.fixture
def paths(pictures, tmp_path):
    names = [tmp_path / f"{row}.png" for row in range(len(pictures))]
    for name, picture in zip(names, pictures, strict=True):
        picture.save(name)
    return names
