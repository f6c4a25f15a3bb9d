"""The folder of downloads."""

import os
import shutil
from pathlib import Path


def data_home_path(data_home=None):
    """Return the data home as a path, whether it exists or not."""
    if data_home is None:
        data_home = Path("~", "skhash_data")
    if not isinstance(data_home, (str, os.PathLike)):
        raise TypeError(
            f"data_home must be a path, got {data_home!r}: give a str, a pathlib.Path or None."
        )
    return Path(data_home).expanduser()


def get_data_home(data_home=None):
    """Return the folder that downloads go to, and create it where it is missing.

    Parameters
    ----------
    data_home : str or path-like, default=None
        The folder. ``None`` means ``~/skhash_data``. A leading ``~`` stands for the home folder of
        the user.

    Returns
    -------
    str
        The path of the folder.

    Raises
    ------
    TypeError
        If `data_home` is not a path.

    See Also
    --------
    clear_data_home : Delete the folder.

    Notes
    -----
    The environment variable ``SKHASH_DATA`` can be set to another folder in which the ``fetch_*``
    functions look for files. Nothing is ever written or deleted there.

    Examples
    --------
    >>> import os, tempfile
    >>> from skhash.datasets import get_data_home
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     os.path.isdir(get_data_home(os.path.join(folder, "data")))
    True
    """
    home = data_home_path(data_home)
    home.mkdir(parents=True, exist_ok=True)
    return str(home)


def clear_data_home(data_home=None):
    """Delete the folder that downloads go to, with everything in it.

    Parameters
    ----------
    data_home : str or path-like, default=None
        The folder. ``None`` means ``~/skhash_data``. It does not have to exist.

    Raises
    ------
    TypeError
        If `data_home` is not a path.

    See Also
    --------
    get_data_home : Return the folder.

    Examples
    --------
    >>> import os, tempfile
    >>> from skhash.datasets import clear_data_home, get_data_home
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     home = get_data_home(os.path.join(folder, "data"))
    ...     clear_data_home(home)
    ...     os.path.exists(home)
    False
    """
    home = data_home_path(data_home)
    if home.exists():
        shutil.rmtree(home)
