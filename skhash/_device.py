"""Where torch computes."""


def resolve_device(device):
    """Turn a `device` parameter into a torch.device, or say that it is not here."""
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        resolved = torch.device(device)
        torch.empty(0, device=resolved)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ValueError(
            "device must be 'auto' or a device that torch finds here, such as 'cpu' or 'cuda', "
            f"got {device!r}."
        ) from error
    return resolved
