"""The cells of the leaderboard: each is one fit, measured once and stored in its own file.

A cell is a combination of collection, method, code length and seed. Its file is complete or absent,
so a run that was killed resumes with the unfinished cells. A job contains all code lengths of one
collection, method and seed, because the ridge of a linear hasher is selected once for all of them.
Processes share the work by locks on the folders of jobs. The kernel releases the lock of a process
that was killed.
"""

import json
import os
import pickle
import platform
import re
import time
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from _collection import Collection, collect
from _methods import Method
from _quality import choose, fit, random_codes, scores_of_codes
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

import skhash
from skhash._files import replaced
from skhash.metrics import hit_rate_at_k, mean_average_precision

CHOICE_BITS = 32  # the length at which a ridge is chosen, for all lengths
RANKS = (1, 5, 10)


@dataclass(frozen=True)
class Job:
    """All lengths of one collection, method and seed.

    Parameters
    ----------
    source : str
        What the collection is read from, a name or a file of ``_collection.py``.
    index : int
        Number of the collection among those of the source.
    title : str
        Name of the collection.
    method : Method
        The method.
    seed : int
        Seed of the split and of the method.
    n_image : int
        Width of the image block.
    bits : tuple of int
        The lengths.
    """

    source: str
    index: int
    title: str
    method: Method
    seed: int
    n_image: int
    bits: tuple

    def folder(self, results):
        """Return the folder of its cells."""
        return Path(results, slug(self.title), slug(self.method.name), f"seed-{self.seed}")

    def hasher(self, n_bits):
        """Return the hasher of a length, not fitted and without a chosen ridge."""
        if self.method.make is None:
            return None
        return self.method.make(
            n_bits, n_image_features=self.n_image, random_state=self.seed, **self.method.parameters
        )

    def identity(self, n_bits):
        """Return what a stored cell must agree with, else it is measured again."""
        hasher = self.hasher(n_bits)
        parameters = {} if hasher is None else hasher.get_params()
        return {
            "collection": self.title,
            "method": self.method.name,
            "n_bits": n_bits,
            "seed": self.seed,
            "hasher": "" if hasher is None else type(hasher).__name__,
            "parameters": {name: _plain(value) for name, value in sorted(parameters.items())},
            "skhash": skhash.__version__,
        }

    def stored(self, results):
        """Return the cells that are stored and not out of date, a dict by length."""
        found = {}
        for n_bits in self.bits:
            cell = read_cell(self.folder(results) / f"{n_bits}.json")
            wanted = self.identity(n_bits)
            if cell and all(cell.get(name) == value for name, value in wanted.items()):
                found[n_bits] = cell
        return found


def slug(name):
    """Turn a name into one of files."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _plain(value):
    return value if isinstance(value, str | int | float | bool | None) else repr(value)


def read_cell(path):
    """Return a stored cell, or None where there is none or its file is no cell."""
    try:
        cell = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return cell if isinstance(cell, dict) else None


def write_cell(path, cell):
    """Write a cell, so that its file is complete or absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced(path) as file:
        file.write(json.dumps(cell, indent=1).encode())


def find_jobs(sources, methods, bits, seeds):
    """Return the jobs in the order in which they are done: kinds of methods that are cheap first.

    Parameters
    ----------
    sources : list of str
        Names and files of collections.
    methods : list of Method
        The rows.
    bits : list of int
        The lengths.
    seeds : int
        Number of seeds.

    Returns
    -------
    list of Job
        Only those with lengths at which the method applies.
    """
    draws = [
        (source, index, collection)
        for source in sources
        for index, collection in enumerate(collect([source], 0))
    ]
    jobs = []
    for kind in dict.fromkeys(method.kind for method in methods):
        for source, index, collection in draws:
            for seed in range(seeds):
                for method in (m for m in methods if m.kind == kind):
                    lengths = tuple(b for b in bits if method.applies(collection, b))
                    head = source, index, collection.name, method, seed, collection.n_image
                    jobs += [Job(*head, lengths)] if lengths else []
    return jobs


@contextmanager
def only_worker(folder):
    """Lock the folder of a job; yield whether no other process has it."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:  # no such locks: run one process there
        yield True
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(handle)


class Draws:
    """The collection of the last job, which the next one mostly needs, too."""

    def __init__(self):
        self._key, self._collections = None, []

    def of(self, job) -> Collection:
        """Return the collection of a job."""
        if self._key != (job.source, job.seed):
            self._collections = list(collect([job.source], job.seed))
            self._key = job.source, job.seed
        return self._collections[job.index]


def work(jobs, results, *, goes_on=lambda: True, report=print):
    """Measure all cells that are not stored, but for jobs that another process is at.

    Parameters
    ----------
    jobs : list of Job
        The jobs.
    results : path-like
        Folder of the stored cells.
    goes_on : callable, default=lambda: True
        Asked before each cell, whether to measure it.
    report : callable, default=print
        Takes a line of text for each cell that was measured or failed.

    Returns
    -------
    int
        Number of cells that failed.
    """
    draws, n_failed = Draws(), 0
    for job in jobs:
        with only_worker(job.folder(results)) as alone:
            stored = job.stored(results) if alone else {}
            missing = [b for b in job.bits if b not in stored] if alone else []
            chosen = next((cell["chosen"] for cell in stored.values()), None)
            for n_bits in missing:
                if not goes_on():
                    return n_failed
                collection = draws.of(job)
                head = f"{job.title}, seed {job.seed}, {job.method.name}, {n_bits} bits"
                try:
                    cell = measure(job, n_bits, collection, chosen)
                except Exception as error:  # of any method, that of a user included
                    n_failed += 1
                    report(f"{head}: FAILED: {type(error).__name__}: {error}")
                    continue
                chosen = cell["chosen"]
                write_cell(job.folder(results) / f"{n_bits}.json", cell)
                scores = " / ".join(f"{score:.3f}" for score in cell["scores"]["mAP"])
                report(f"{head}: {scores}, {spent(cell):.1f} s")
    return n_failed


def spent(cell):
    """Return the seconds that a cell took, with choosing where it chose."""
    return cell["seconds"] + cell["choose_seconds"]


def measure(job, n_bits, collection, chosen=None):
    """Fit a hasher, encode, score; return the cell.

    Parameters
    ----------
    job : Job
        What to measure.
    n_bits : int
        Length of a code.
    collection : Collection
        That of the job.
    chosen : dict, default=None
        The parameters that were chosen for the job before; ``None`` chooses.

    Returns
    -------
    dict
        What is stored. Seconds are of the process's CPU time: of one fit, of encoding 1,000 items,
        of choosing, and of all else of the cell. Sizes are in bytes.
    """
    started = time.process_time()
    hasher, fit_seconds = job.hasher(n_bits), 0.0
    with threadpool_limits(1), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        choosing = time.process_time()
        if hasher is not None and chosen is None:
            length = CHOICE_BITS if job.method.applies(collection, CHOICE_BITS) else n_bits
            chosen = choose(job.hasher(length), collection, job.seed)
        choosing = time.process_time() - choosing
        if hasher is None:
            encode, chosen = random_codes(n_bits, job.seed), {}
        else:
            hasher, fit_seconds = fit(hasher.set_params(**chosen), collection)
            encode = hasher.transform
        encoding = time.process_time()
        queries = encode(collection.queries)
        same = collection.gallery is collection.queries
        gallery = queries if same else encode(collection.gallery)
        encoding = time.process_time() - encoding
        n_encoded = 2 * (len(queries) + (0 if same else len(gallery)))
        scores = all_scores(queries, gallery, collection)
    complaints = {str(w.message) for w in caught if issubclass(w.category, ConvergenceWarning)}
    return job.identity(n_bits) | {
        "kind": job.method.kind,
        "protocol": collection.protocol,
        "counts_pairs": collection.counts_pairs,
        "chosen": chosen,
        "scores": scores,
        "distinct": distinct_share(queries),
        "fit_seconds": fit_seconds,
        "encode_seconds": 1000 * encoding / n_encoded,
        "item_bytes": -(-n_bits // 8),
        "model_bytes": 0 if hasher is None else len(pickle.dumps(hasher)),
        "n_train": len(collection.train),
        "warnings": sorted(complaints),
        "versions": versions(),
        "choose_seconds": choosing,
        "seconds": time.process_time() - started - choosing,
    }


def all_scores(queries, gallery, collection):
    """Return the scores of codes by name, each from images to texts and from texts to images."""

    def score(metric, **options):
        return scores_of_codes(queries, gallery, collection, metric, **options)

    found = {"mAP": score(mean_average_precision)}
    if collection.counts_pairs:
        return found | {f"R@{k}": score(hit_rate_at_k, k=k) for k in RANKS}
    return found | {"mAP@50": score(mean_average_precision, k=50)}


def distinct_share(codes):
    """Return the share of distinct codes, of the modality with fewer: near 0 in a collapse."""
    return min(len(np.unique(half, axis=0)) for half in np.split(codes, 2, axis=1)) / len(codes)


def versions():
    """Return the versions that numbers may depend on."""
    found = {name: version(name) for name in ("numpy", "scipy", "scikit-learn", "torch")}
    return {"Python": platform.python_version()} | found
