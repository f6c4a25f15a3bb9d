"""The leaderboard: all hashers, several lengths and seeds, on collections of ``_collection.py``.

The rows are random codes, every hasher in ``skhash.hashing``, some of them in several settings
(``_methods.py``), your own classes (``--own``) and, separately, hashers that learn from labels. New
hashers of the library get a row automatically.

Protocol. Parameters are the defaults. The ridge of linear hashers is selected for each training set
by how well held-out training pairs find their other half, at 32 bits, 3 folds. Labels are not used
in training or selection, except by the hashers that learn from labels, and test pairs by none.
Scores are those of the last epoch. ``NAME`` and ``NAME-apart`` are two protocols of one collection:
the database consists of training pairs, or is disjoint from them.

Scores are means and standard deviations over seeds, from images to texts and from texts to images,
with ties in expectation: mean average precision over all ranks (mAP) and mAP@50 with
``normalize="hits"``. If only the other half of a pair is relevant, they are its mAP and the share
of queries that find it among the first 1, 5 and 10 (R@k). Times are CPU seconds of one thread, for
one fit with a selected ridge, and for encoding 1,000 items. Sizes are bytes of an item and of the
pickled model.

Each cell is measured once and stored in its own file, so a run that was killed can be resumed. A
cell is measured again if the parameters of its method or the version of skhash have changed, or
with ``--fresh``, which is needed after a change of the code or the data. Fast methods run first.
Several processes may work on the same folder of results.

    OMP_NUM_THREADS=1 python benchmarks/leaderboard.py [--on wiki wiki-apart clip-like=12000 a.npz]
        [--seeds 5] [--bits 16 32 64 128] [--jobs 2] [--methods CFRH CCAHasher]
        [--own module.Class] [--estimate] [--budget 60] [--docs docs/leaderboard]
"""

import argparse
import multiprocessing
import time
from pathlib import Path

from _board import print_tables, summarise, to_frame, write_csv, write_tables
from _cells import find_jobs, work
from _methods import find_methods
from _timing import header

ON = ["wiki", "wiki-apart", "clip-like=12000"]


def parse(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--on", nargs="+", default=ON, help="names and files of collections")
    add("--bits", type=int, nargs="+", default=[16, 32, 64, 128])
    add("--seeds", type=int, default=5)
    add("--methods", nargs="+", help="names of rows or classes; all by default")
    add("--own", nargs="+", default=[], help="classes of yours, as module.Class")
    add("--jobs", type=int, default=1, help="processes, of one thread each")
    add("--results", type=Path, default=Path("output/leaderboard"), help="folder of the cells")
    add("--fresh", action="store_true", help="measure the chosen cells again")
    add("--budget", type=float, help="minutes after which no cell is begun")
    add("--estimate", action="store_true", help="say how long it takes; measure nothing")
    add("--tables", action="store_true", help="show what is stored; measure nothing")
    add("--csv", type=Path, help="file to write all means and spreads to")
    add("--docs", type=Path, help="folder to write tables and pictures of the user guide to")
    return parser.parse_args(arguments)


def jobs_of(options):
    methods = find_methods(options.own, options.methods)
    return find_jobs(options.on, methods, options.bits, options.seeds)


def measure_share(options, until, process=None):
    """Measure cells until none is left that no other process is at; return how many failed."""

    def goes_on():
        alive = process is None or multiprocessing.parent_process().is_alive()
        return alive and (until is None or time.time() < until)

    def report(line):
        print(line, flush=True)

    return work(jobs_of(options), options.results, goes_on=goes_on, report=report)


def measure_all(options):
    """Share the cells among processes."""
    until = None if options.budget is None else time.time() + 60 * options.budget
    if options.jobs == 1:
        return measure_share(options, until)
    context = multiprocessing.get_context("spawn")
    others = [
        context.Process(target=measure_share, args=(options, until, number), daemon=True)
        for number in range(1, options.jobs)
    ]
    for process in others:
        process.start()
    n_failed = measure_share(options, until)
    for process in others:
        process.join()
    return n_failed


def estimate(jobs, results):
    """Return the seconds of the cells that are stored, and an estimate for those that are not.

    A cell takes as long as the mean of those stored that are most alike: of its collection, method
    and length; of its collection and method; of its collection and kind; of its method; of its
    kind.

    Parameters
    ----------
    jobs : list of Job
        The jobs.
    results : path-like
        Folder of the stored cells.

    Returns
    -------
    dict
        ``n_stored`` and ``stored`` (seconds), ``n_missing`` and ``missing``, and ``n_unknown``, the
        missing cells that are like none.
    """
    stored = {job: job.stored(results) for job in jobs}
    known, found = {}, {"n_stored": 0, "stored": 0.0, "n_missing": 0, "missing": 0.0}
    for job, cells in stored.items():
        parts = {n_bits: cell["seconds"] for n_bits, cell in cells.items()}
        parts |= {"choice": sum(c["choose_seconds"] for c in cells.values())} if cells else {}
        for part, seconds in parts.items():
            found["n_stored"] += part != "choice"
            found["stored"] += seconds
            for key in _alike(job, part):
                known.setdefault(key, []).append(seconds)
    found["n_unknown"] = 0
    for job, cells in stored.items():
        missing = set(job.bits) - set(cells)
        found["n_missing"] += len(missing)
        for part in missing | (set() if cells else {"choice"}):
            like = [known[key] for key in _alike(job, part) if key in known]
            found["n_unknown"] += part != "choice" and not like
            found["missing"] += sum(like[0]) / len(like[0]) if like else 0.0
    return found


def _alike(job, part):
    """Return keys of what is like the cell of a length, or like choosing, the nearest first."""
    name, kind = job.method.name, job.method.kind
    keys = [(job.title, name), (job.title, kind), (name,), (kind,)]
    if part == "choice":
        return [("choice", *key) for key in keys]
    return [(job.title, name, part), *keys]


def say_estimate(jobs, options):
    found = estimate(jobs, options.results)
    minutes = {name: found[name] / 60 for name in ("stored", "missing")}
    total = sum(minutes.values())
    print(
        f"\n{found['n_stored']} cells are measured and took {minutes['stored']:.1f} minutes of one "
        f"process; {found['n_missing']} are missing and take about {minutes['missing']:.1f}"
        + (f", {found['n_unknown']} of them not counted" if found["n_unknown"] else "")
        + f".\nAll of it with --jobs {options.jobs}: about {total / options.jobs:.0f} minutes, "
        f"of which {minutes['missing'] / options.jobs:.0f} are left."
    )


def main(arguments=None):
    options = parse(arguments)
    header("numpy", "scipy", "scikit-learn", "torch")
    jobs = jobs_of(options)
    if options.estimate:
        say_estimate(jobs, options)
        return
    if options.fresh:
        for job in jobs:
            for n_bits in job.bits:
                (job.folder(options.results) / f"{n_bits}.json").unlink(missing_ok=True)
    n_failed = 0 if options.tables else measure_all(options)
    cells = [cell for job in jobs for cell in job.stored(options.results).values()]
    if not cells:
        raise SystemExit("No cell is stored: run it without --tables first.")
    summary = summarise(to_frame(cells))
    print_tables(summary)
    say_estimate(jobs, options)
    if options.csv:
        write_csv(options.csv, summary)
    if options.docs:
        from _pictures import draw_all  # needs matplotlib

        write_csv(options.docs / "all.csv", summary)
        written = write_tables(options.docs, summary) + draw_all(options.docs, summary)
        print(f"{len(written) + 1} files are in {options.docs}.")
    if n_failed:
        raise SystemExit(f"{n_failed} cells failed, see above.")


if __name__ == "__main__":
    main()
