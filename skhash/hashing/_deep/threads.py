"""The CPU threads of torch."""

import threading
from contextlib import contextmanager

import torch

_lock = threading.Lock()
_to_restore = []


@contextmanager
def threads(n):
    """Let torch use so many CPU threads, while the rows of a hasher go through it.

    Small batches are fastest on one: to share them out costs more than it saves, and makes rounding
    depend on the number of threads. The number is the process's: what stood before is restored when
    the last of several Python threads leaves.
    """
    with _lock:
        _to_restore.append(torch.get_num_threads())
        torch.set_num_threads(n)
    try:
        yield
    finally:
        with _lock:
            before = _to_restore.pop()
            if not _to_restore:
                torch.set_num_threads(before)
