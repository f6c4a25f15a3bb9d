"""Kill a process while it keeps features, again and again, and look at what is there.

A child keeps known vectors batch by batch, as fast as it can, and tells of each batch once it is
kept. It is killed (SIGKILL) at a random moment, and the next child goes on where it stopped. Every
vector that it told of must then be there, none may be wrong, and at most one batch more may be
there. Printed are the kills, how many of them left a file that was not whole, the vectors that
are missing or wrong, and versions.

Run it with ``python benchmarks/kill_features.py [--kills 50] [--batch 8] [--seed 0]``, where there
is ``fork``.
"""

import argparse
import os
import platform
import random
import signal
import tempfile
import time

import numpy as np

import skhash
from skhash.features._feature_store import FeatureStore

N_FEATURES = 512
MODEL = {"model": "known", "modality": "text"}


def vectors(numbers):
    """Return what the store must hold for some numbers."""
    return np.sin(np.asarray(numbers)[:, None] + np.arange(N_FEATURES)).astype(np.float32)


def open_store(folder):
    return FeatureStore(folder, MODEL, N_FEATURES)


def write(folder, start, batch, pipe):
    """Keep batches for ever; tell where the next one starts."""
    store = open_store(folder)
    while True:
        numbers = np.arange(start, start + batch)
        store.put(store.keys(list(map(str, numbers))), vectors(numbers))
        start += batch
        os.write(pipe, start.to_bytes(8, "little"))


def killed(folder, start, batch, seconds):
    """Start a child, kill it, and return where it said that the next batch starts."""
    told, pipe = os.pipe()
    child = os.fork()
    if not child:
        os.close(told)
        write(folder, start, batch, pipe)
    os.close(pipe)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(told, "rb") as file:
        last = file.read()[-8:]
    return int.from_bytes(last, "little") if last else start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(
        f"skhash {skhash.__version__}, NumPy {np.__version__}, Python {platform.python_version()}, "
        f"{platform.system()}"
    )
    moment = random.Random(options.seed)
    missing = wrong = more = interrupted = done = 0
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.kills):
            done = killed(folder, done, options.batch, moment.uniform(0, 0.5))
            store = open_store(folder)
            found, got = store.get(store.keys(list(map(str, range(done + 3 * options.batch)))))
            missing += int((~found[:done]).sum())
            more = max(more, int(found[done:].sum()))
            wrong += int((got[found] != vectors(np.flatnonzero(found))).any(axis=1).sum())
            names = [path.name for path in store.folder.iterdir()]
            interrupted += any(name.endswith(".tmp") for name in names)
            for name in names:
                if name.endswith(".tmp"):
                    (store.folder / name).unlink()
        print(f"{options.kills} kills, {interrupted} of them in the middle of writing or merging")
        print(f"{done} vectors kept, {store.size / 1e6:.1f} MB")
    print(f"{missing} missing, {wrong} wrong, at most {more} kept that were not told of")
    if missing or wrong or more > options.batch:
        raise SystemExit("a kill lost vectors or left wrong ones")


if __name__ == "__main__":
    main()
