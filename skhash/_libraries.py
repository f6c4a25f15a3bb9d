"""Imports: late and optional ones, torchvision beside a CPU build of torch, and versions."""

import os
import platform
import sys
import threading
from importlib import import_module
from types import ModuleType

from . import __version__

DEPENDENCIES = (
    *("numpy", "scipy", "scikit-learn", "pandas", "joblib", "narwhals", "pillow", "torch"),
    *("torchvision", "open_clip_torch", "tqdm"),
)
OPTIONAL = (
    *("numba", "faiss-cpu", "dask", "distributed", "pooch", "h5py", "pyarrow", "matplotlib"),
    *("transformers", "timm", "polars", "fastapi", "uvicorn", "skops", "pymilvus"),
)
# Packages that are not called as their module, or that need extras of their own.
_PACKAGES = {
    "faiss": "faiss-cpu",
    "open_clip": "open_clip_torch",
    "dask": '"dask[dataframe,distributed]"',
}
_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_OPERATORS = ("nms", "qnms")
_lock = threading.Lock()
_alive = []  # a torch.library.Library that is garbage-collected removes its definitions


def lazy_names(name, modules):
    """Return the ``__getattr__`` and the ``__dir__`` of a module whose names are elsewhere.

    Each name is imported when it is first used, since some of them load much.

    Parameters
    ----------
    name : str
        Name of the module, its ``__name__``.
    modules : dict of str to str
        The names, and the modules that define them, relative to the package `name`, or to the one
        that `name` is in.

    Returns
    -------
    callable, callable
        The two functions.
    """

    def find(attribute):
        if attribute in modules:
            module = import_module(f".{modules[attribute]}", sys.modules[name].__package__)
            return getattr(module, attribute)
        raise AttributeError(f"module {name!r} has no attribute {attribute!r}")

    def names():
        return sorted([*vars(sys.modules[name]), *modules])

    return find, names


class LazyModule(ModuleType):
    """A module that is imported when an attribute of it is first used.

    Parameters
    ----------
    name : str
        Name of the module.
    purpose : str
        What needs it: the subject of the error message where a library is missing.
    """

    def __init__(self, name, purpose):
        super().__init__(name)
        self._purpose, self._module = purpose, None

    def __getattr__(self, attribute):
        if attribute.startswith("__"):  # asked of any object, to find out what it is
            raise AttributeError(attribute)
        if self._module is None:
            self._module = self._import()
        return getattr(self._module, attribute)

    def _import(self):
        try:
            return import_module(self.__name__)
        except ModuleNotFoundError as error:
            missing = (error.name or "skhash").partition(".")[0]
            if missing == "skhash":
                raise
            raise ImportError(
                f"{self._purpose} needs {missing}, which is not installed: pip install {missing}."
            ) from error


def import_optional(module, *, extra, purpose):
    """Import an optional dependency.

    Parameters
    ----------
    module : str
        Name of the module, for example ``"matplotlib.pyplot"``.
    extra : str
        Extra of the distribution that installs it.
    purpose : str
        What needs it: the subject of the error message.

    Returns
    -------
    module
        The imported module.

    Raises
    ------
    ImportError
        If it is not installed. The message names the package and the extra.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        missing = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != missing:
            raise
        raise ImportError(
            f"{purpose} needs {missing}, which is not installed: pip install "
            f'{_PACKAGES.get(missing, missing)}, or pip install "scikit-hash[{extra}]".'
        ) from error


def import_with_torchvision(module):
    """Import a module that imports torchvision: open_clip, timm, or torchvision itself.

    The torchvision wheels of the package index are CUDA builds. Beside a CPU build of torch their
    compiled part cannot be loaded. torchvision tolerates that, except for two operators whose fake
    kernels it registers at import (https://github.com/pytorch/vision/issues/9085). Declaring the
    two schemas first is enough, since nothing here calls these operators.

    Parameters
    ----------
    module : str
        Name of the module.

    Returns
    -------
    module
        The imported module.
    """
    with _lock:  # another thread must not remove a module that is being imported
        return _import(module)


def _import(module):
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        missing = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != missing:
            raise
        raise ModuleNotFoundError(
            f"{missing} is not installed: pip install {_PACKAGES.get(missing, missing)}.",
            name=error.name,
        ) from error
    except RuntimeError as error:
        if "operator torchvision::nms does not exist" not in str(error):
            raise
    # Remove the partly imported module, and everything of torchvision.
    for name in list(sys.modules):
        if name.partition(".")[0] in {"torchvision", module.partition(".")[0]}:
            del sys.modules[name]
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in _OPERATORS:
        library.define(operator + _SCHEMA)
    _alive.append(library)
    return import_module(module)


def show_versions():
    """Print the versions that a bug report should contain.

    These are the versions of Python, the system, skhash, its required and optional dependencies,
    and the threads of the numerical libraries that are loaded. No other package is loaded, and no
    path is printed.

    Examples
    --------
    >>> from skhash import show_versions
    >>> show_versions()  # doctest: +ELLIPSIS
    System:
               python: 3...
              machine: ...
    """
    import numpy  # noqa: F401  so that its threads are listed
    from threadpoolctl import threadpool_info

    system = {
        "python": sys.version.replace("\n", " "),
        "machine": platform.platform(),
        "cores": os.cpu_count(),
    }
    needed = {"skhash": __version__, **{name: _version_of(name) for name in DEPENDENCIES}}
    optional = {name: _version_of(name) for name in OPTIONAL}
    threads = {pool["internal_api"]: _describe(pool) for pool in threadpool_info()}
    threads["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", "none")
    parts = {"System": system, "Packages": needed, "Optional packages": optional}
    for title, values in {**parts, "Threads": threads}.items():
        print(f"{title}:")
        for name, value in values.items():
            print(f"{name:>17}: {'none' if value is None else value}")


def _version_of(name):
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _describe(pool):
    return f"{pool['num_threads']} threads, version {pool['version']}"
