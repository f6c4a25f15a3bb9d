import numpy as np
import pytest
import torch

from skhash._torch.device import resolve_device
from skhash.features import CLIPFeaturizer
from skhash.hashing import CFRHHasher


def test_auto_is_a_gpu_where_there_is_one():
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert resolve_device("auto").type == expected


@pytest.mark.parametrize("device", ["auto", "cpu", "cpu:0", torch.device("cpu", 0)])
def test_a_device_equals_that_of_tensors_on_it(device):
    resolved = resolve_device(device)
    assert torch.ones(1).to(resolved).device == resolved
    if device != "auto":
        assert resolved == resolve_device("cpu")


@pytest.mark.parametrize("device", ["abacus", "cuda:99", "", "meta"])
def test_a_device_that_is_not_here_is_named(device):
    with pytest.raises(ValueError, match=rf"device must be 'auto' or .* got {device!r}\."):
        resolve_device(device)


def test_both_that_use_torch_resolve_devices_alike(pairs):
    with pytest.raises(ValueError, match="got 'abacus'"):
        CFRHHasher(n_image_features=6, batch_size=10, device="abacus").fit(pairs)
    with pytest.raises(ValueError, match="got 'abacus'"):
        CLIPFeaturizer("RN50", pretrained=None, device="abacus").transform([b""])


@pytest.mark.parametrize("device", [1.5, np.array([1, 2]), None, True])
def test_what_is_no_device_is_named(device):
    with pytest.raises(TypeError, match=r"device must be a str or a torch\.device, got "):
        resolve_device(device)


@pytest.mark.parametrize(
    ("n_gpus", "version", "message"),
    [
        (0, None, "which is 'cpu', since this build of torch is for CPUs, got"),
        (0, "12.8", "which is 'cpu', since torch finds no GPU .*, got"),
        (2, "12.8", "finds here, 'cpu', 'cuda:0', 'cuda:1', got"),
    ],
)
def test_a_message_lists_the_devices_that_are_here(n_gpus, version, message, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: n_gpus)
    monkeypatch.setattr(torch.version, "cuda", version)
    with pytest.raises(ValueError, match=message):
        resolve_device("cuda:99")
