import os

import numpy as np
import pytest
from hypothesis import settings

from skhash import make_table

settings.register_profile("patient", deadline=None)  # no test asserts a time
settings.register_profile("thorough", deadline=None, max_examples=20_000)
settings.load_profile("patient")


@pytest.fixture(scope="session")
def shared_data():
    """Skip a test where SKHASH_DATA names no folder; an empty value names none."""
    if not os.environ.get("SKHASH_DATA"):
        pytest.skip("needs the Wiki data set in the folder that SKHASH_DATA names")


@pytest.fixture
def pairs():
    """Thirty pairs of 6 image and 9 text features that share three topics."""
    rng = np.random.default_rng(0)
    topics = rng.normal(size=(30, 3))
    image = topics @ rng.normal(size=(3, 6)) + 0.1 * rng.normal(size=(30, 6))
    text = np.maximum(topics @ rng.normal(size=(3, 9)), 0) + 0.01
    return np.hstack([image, text]).astype(np.float32)


@pytest.fixture
def table(pairs):
    """The same pairs as a feature table."""
    return make_table(image=pairs[:, :6], text=pairs[:, 6:])


@pytest.fixture
def pyplot():
    """Matplotlib without a window; figures are closed after the test."""
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


@pytest.fixture(scope="session")
def two_processes():
    """A client of two worker processes of Dask, started by the first test that needs them."""
    distributed = pytest.importorskip("distributed")
    local = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    with (
        distributed.LocalCluster(**local) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture
def cluster(two_processes):
    """The workers that Dask uses in a test, which may kill them: they start again."""
    two_processes.wait_for_workers(2)
    with two_processes.as_current():
        yield two_processes
