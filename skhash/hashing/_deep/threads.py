"""Torch on one CPU thread."""

import threading
from contextlib import contextmanager

import torch

_lock = threading.Lock()
_to_restore = []


@contextmanager
def one_thread():
    """Keep torch to one CPU thread while the rows of a hasher go through it.

    Its batches are too small to share out: that costs more than it saves, and makes rounding depend
    on the number of threads. The number is the process's: what stood before is restored when the
    last of several Python threads leaves.
    """
    with _lock:
        _to_restore.append(torch.get_num_threads())
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _lock:
            before = _to_restore.pop()
            if not _to_restore:
                torch.set_num_threads(before)
