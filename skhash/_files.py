"""Files that are there whole or not at all."""

import os
from contextlib import contextmanager


@contextmanager
def replaced(path, temporary=None):
    """Open a file for writing that takes its name when all of it is on the disk.

    The rename itself lasts once the folder is flushed, which is left to the caller.

    Parameters
    ----------
    path : Path
        Its name.
    temporary : Path, default=None
        Its name until then, in the same folder, deleted after an error; ``None`` appends ``.tmp``,
        so that the next writer writes over what a crash left. Writers at the same time need names
        of their own.

    Yields
    ------
    file object
        Open for reading and writing bytes.
    """
    temporary = temporary or path.with_name(f"{path.name}.tmp")
    try:
        with temporary.open("w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
