"""Pictures of a folder, and names that refer to the same picture."""

import os
import unicodedata
from pathlib import Path

from .._inputs.messages import shorten


class PictureFolder:
    """A folder in which pictures are found by name, never outside of it.

    Parameters
    ----------
    path : str or path-like
        The folder.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """

    def __init__(self, path):
        self.path = Path(path).expanduser()
        if not self.path.is_dir():
            raise FileNotFoundError(
                f"there is no folder {self.path}: name the folder of the pictures."
            )
        self._root = os.path.join(os.path.realpath(self.path), "")
        self._prefix, self._real, self._spelled = str(self.path), {}, {}

    def find(self, name, row, source):
        """Find a picture.

        Parameters
        ----------
        name : str
            Its path within the folder, or an absolute one.
        row, source : int and str
            Where it is named, for messages.

        Returns
        -------
        path : str
            Its path, as it was spelled first.
        identity : str
            What all spellings of the path share.
        is_there : bool
            Whether there is a file.

        Raises
        ------
        ValueError
            If it leads out of the folder.
        """
        forms = {name: None}
        if not name.isascii():  # file systems and tables differ in how they write an accent
            forms |= {unicodedata.normalize(form, name): None for form in ("NFC", "NFD")}
        paths = [os.path.join(self._prefix, form) for form in forms]
        path = next((path for path in paths if os.path.isfile(path)), None)
        is_there = path is not None
        path = path or paths[0]
        real = self._resolve(path)
        if not real.startswith(self._root):
            raise ValueError(
                f"row {row} of {source} names {shorten(name)}, which leads out of {self.path}: "
                "name pictures within the folder, and put files in place of links."
            )
        identity = unicodedata.normalize("NFC", real)
        return self._spelled.setdefault(real, path), identity, is_there

    def _resolve(self, path):
        """Return what `os.path.realpath` does, which checks each folder of the path again."""
        folder, name = os.path.split(path)
        if name in ("", ".", "..") or os.path.islink(path):
            return os.path.realpath(path)
        if folder not in self._real:
            self._real[folder] = os.path.join(os.path.realpath(folder), "")
        return self._real[folder] + name
