"""Where torch computes."""


def resolve_device(device):
    """Turn a `device` parameter into a torch.device, or say that it is not here.

    The result is what tensors there report, so that both compare as equal: ``"cuda"`` becomes
    ``cuda:0``, and ``"cpu:0"`` becomes ``cpu``.
    """
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        tensor = torch.empty(0, device=torch.device(device))
        tensor.cpu()  # refuses "meta", which holds no numbers
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ValueError(
            "device must be 'auto' or a device that torch finds here, such as 'cpu' or 'cuda', "
            f"got {device!r}."
        ) from error
    return tensor.device
