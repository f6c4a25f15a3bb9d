"""Where torch computes."""

import sys

from .._inputs.messages import shorten


def check_device(device, name="device"):
    """Check the type of a `device` parameter, without torch; return it."""
    if not isinstance(device, str) and type(device).__name__ != "device":
        raise TypeError(f"{name} must be a str or a torch.device, got {shorten(device)}.")
    return device


def is_cpu(device):
    """Say whether a `device` parameter means the CPU, without loading torch.

    ``"auto"`` is a GPU only where this process has loaded torch, and torch finds one: to load it is
    not worth it for a few rows.
    """
    if device != "auto":
        return str(device).partition(":")[0] == "cpu"
    if sys.modules.get("torch") is None:
        return True
    import torch

    return not torch.cuda.is_available()


def resolve_device(device):
    """Turn a `device` parameter into a torch.device, or say that it is not here.

    The result is what tensors there report, so that both compare as equal: ``"cuda"`` becomes
    ``cuda:0``, and ``"cpu:0"`` becomes ``cpu``.
    """
    import torch

    check_device(device)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        tensor = torch.empty(0, device=torch.device(device))
        tensor.cpu()  # refuses "meta", which holds no numbers
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ValueError(
            "device must be 'auto' or a device that torch finds here, "
            f"{_found(torch)}, got {shorten(device)}."
        ) from error
    return tensor.device


def _found(torch):
    """List the devices for a message, and say if GPUs are none of them."""
    if n_gpus := torch.cuda.device_count():
        return ", ".join(["'cpu'", *(f"'cuda:{number}'" for number in range(n_gpus))])
    if torch.version.cuda is None and getattr(torch.version, "hip", None) is None:
        return "which is 'cpu', since this build of torch is for CPUs"
    return "which is 'cpu', since torch finds no GPU (nvidia-smi lists those of the driver)"
