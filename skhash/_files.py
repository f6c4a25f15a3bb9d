"""Files that are there whole or not at all."""

import os
from contextlib import contextmanager


@contextmanager
def replaced(path):
    """Open a file for writing that takes its name when all of it is on the disk."""
    temporary = path.with_name(f"{path.name}.tmp")
    with temporary.open("w+b") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
