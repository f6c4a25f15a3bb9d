"""Durable writing: files and folders are complete or absent; reading: regular files only.

**Temporary names** hold 16 random hexadecimal digits and are created exclusively: a link that
is already there is never followed, and two writers never share a temporary file. The last rename
wins. Files left by a killed writer are deleted by the next one where they cannot belong to another
writer: under the lock of `only_writer`, or once they are an hour old.
"""

import ctypes
import os
import re
import secrets
import shutil
import stat
import sys
from contextlib import contextmanager, suppress
from functools import partial

TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.tmp$")  # ending of a temporary name
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def regular(path):
    """Open a regular file for reading bytes.

    Parameters
    ----------
    path : Path
        The file, or a link to it.

    Returns
    -------
    file object
        Open for reading bytes.

    Raises
    ------
    ValueError
        If it is a folder, a named pipe, a device or a socket; opening it might wait forever.
    """
    # Checked before, since opening a device may have effects, and after, since it may have changed.
    if stat.S_ISREG(path.stat().st_mode):
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        file = os.fdopen(os.open(path, flags), "rb")
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return file
        file.close()
    raise ValueError(f"{path} is not a regular file: delete it, or give another path.")


@contextmanager
def replaced(path):
    """Open a file for writing that gets its name when all of it is on disk.

    The rename itself lasts once the folder is flushed, which is left to the caller.

    Parameters
    ----------
    path : Path
        Its name. Until it is complete, ``.<16 hexadecimal digits>.tmp`` is appended.

    Yields
    ------
    file object
        Open for reading and writing bytes.
    """
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def appended(path, end):
    """Open a file to write behind its first `end` bytes, which are on disk when the block ends.

    What stood there is cut off first; after an error, what was written is. A new file lasts once
    its folder is flushed, which is left to the caller.

    Parameters
    ----------
    path : Path
        The file, created if it does not exist. A link is not followed.
    end : int
        Number of bytes to keep.

    Yields
    ------
    file object
        Open for writing bytes, at `end`.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags, 0o666), "r+b") as file:
        try:
            file.seek(end)
            file.truncate()
            yield file
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            with suppress(OSError):
                os.truncate(path, end)
            raise


@contextmanager
def only_writer(folder):
    """Keep other processes and threads from writing into a folder.

    Parameters
    ----------
    folder : Path
        The folder.

    Yields
    ------
    callable
        Takes nothing, and makes the renames in the folder last.
    """
    if os.name == "nt":  # a folder cannot be opened there
        yield lambda: None
        return
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # not every network file system has locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield partial(os.fsync, handle)
    finally:
        os.close(handle)


@contextmanager
def replaced_folder(folder):
    """Make a folder that gets its name, and replaces an older one, when it is complete.

    Its files are flushed to the disk. Then the two folders are exchanged in one step. Where the
    system cannot do that, the older one is renamed first, and `restore` brings it back should the
    process end right then.

    Parameters
    ----------
    folder : Path
        Its absolute name; nothing, an empty folder or one that may be deleted.

    Yields
    ------
    Path
        The new folder, beside its place, to be filled with files.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with only_writer(folder.parent) as sync_parent:
        _settle(folder)
        new = folder.with_name(f".{folder.name}-{secrets.token_hex(8)}.new")
        new.mkdir()
        try:
            yield new
            for path in new.iterdir():
                with path.open("r+b") as file:
                    os.fsync(file.fileno())
            with only_writer(new) as sync_new:
                sync_new()
            if not folder.exists():
                new.rename(folder)
            elif not _exchange(new, folder):
                folder.rename(new.with_suffix(".old"))
                new.rename(folder)
            sync_parent()
        finally:
            _settle(folder)


def restore(folder):
    """Restore a folder that `replaced_folder` had renamed when its process was killed."""
    with suppress(OSError):
        if not folder.exists():
            with only_writer(folder.parent):
                _settle(folder)


def _settle(folder):
    """Clean up after another writer, under the lock: restore the older folder, delete the rest."""
    ours = re.compile(r"\." + re.escape(folder.name) + r"-[0-9a-f]{16}\.(new|old)")
    left = [path for path in folder.parent.iterdir() if ours.fullmatch(path.name)]
    for path in left:
        if path.suffix == ".old" and not folder.exists():
            path.rename(folder)
        else:
            shutil.rmtree(path, ignore_errors=True)


def _exchange(one, other):
    """Exchange two folders in one step; say whether the system can."""
    if sys.platform != "linux":
        return False
    call = getattr(ctypes.CDLL(None), "renameat2", None)
    names = os.fsencode(one), os.fsencode(other)
    return call is not None and not call(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE)
