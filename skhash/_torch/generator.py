"""Torch's global generator, where torch offers no other."""

import threading
from contextlib import contextmanager

# Also held while a shared model is looked up or built, so that it is built once.
generator_lock = threading.RLock()


@contextmanager
def seeded(seed, device="cpu"):
    """Seed torch's global generator, and restore its state at the end.

    For what takes no generator: the initial weights of other libraries' modules, and dropout. The
    generator belongs to the process, so that threads wait for each other here. Threads that draw
    from it without waiting would still disturb the draws.

    Parameters
    ----------
    seed : int
        The seed.
    device : torch.device or str, default="cpu"
        Where numbers are drawn, beside the CPU.
    """
    import torch

    device = torch.device(device)
    on_gpu = device.type == "cuda"
    with generator_lock, torch.random.fork_rng([device] if on_gpu else []):
        # Not torch.manual_seed, which seeds all devices, also those whose state is not restored.
        torch.default_generator.manual_seed(seed)
        if on_gpu:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
