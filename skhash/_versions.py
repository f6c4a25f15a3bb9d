"""What a report of a fault should say about the machine."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version

import numpy  # noqa: F401  its threads are told
from threadpoolctl import threadpool_info

from . import __version__

DEPENDENCIES = (
    *("numpy", "scipy", "scikit-learn", "pandas", "joblib", "narwhals", "pillow", "torch"),
    *("torchvision", "open_clip_torch", "tqdm"),
)
OPTIONAL = (
    *("numba", "faiss-cpu", "dask", "distributed", "pooch", "h5py", "pyarrow", "matplotlib"),
    *("transformers", "timm", "polars"),
)


def show_versions():
    """Print the versions that a report of a fault should name.

    Those of Python, the system, skhash, what it needs and what it can use, and the threads of the
    numerical libraries that are loaded. No other package is loaded, and no path is printed.

    Examples
    --------
    >>> from skhash import show_versions
    >>> show_versions()  # doctest: +ELLIPSIS
    System:
               python: 3...
              machine: ...
    """
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
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _describe(pool):
    return f"{pool['num_threads']} threads, version {pool['version']}"
