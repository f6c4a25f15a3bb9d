"""The CPU threads of torch."""

import threading
from contextlib import contextmanager

import torch

_lock = threading.Lock()
_outside: list[int] = []  # the number before the first came in, once for each thread that is in
_own = threading.local()


@contextmanager
def threads(n):
    """Let torch use so many CPU threads, while the rows of a hasher go through it.

    Small batches are fastest on one: to share them out costs more than it saves, and makes rounding
    depend on the number of threads. Each Python thread has a number of its own, and a new one
    begins with what was set last anywhere: so each that leaves sets what stood before the first
    came in.
    """
    depth = _own.depth = getattr(_own, "depth", 0) + 1
    if depth == 1:
        with _lock:
            number = torch.get_num_threads()  # asked first: a new thread takes the last one here
            _outside.append(_outside[0] if _outside else number)
            torch.set_num_threads(n)
    try:
        yield
    finally:
        _own.depth -= 1
        if depth == 1:
            with _lock:
                torch.set_num_threads(_outside.pop())
