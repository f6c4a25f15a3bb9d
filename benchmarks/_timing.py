"""Shared code of the speed benchmarks: interleaved timing, ratios with ranges, fresh processes."""

import importlib.metadata
import multiprocessing
import os
import platform
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

import skhash


def header(*distributions):
    """Print what the figures depend on: versions, the CPU model and the load."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in distributions]
    print(f"skhash {skhash.__version__}, {', '.join(versions)}, Python {platform.python_version()}")
    print(f"CPU: {_cpu_model()}, {os.cpu_count()} logical cores, {load()}\n", flush=True)


def load():
    return f"load average {os.getloadavg()[0]:.2f}"


def _cpu_model():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def race(contenders, rounds):
    """Time every contender once a round, the order turning from round to round.

    Parameters
    ----------
    contenders : dict of str to callable
        What to time.
    rounds : int
        Number of rounds, after one that is not timed: it compiles and touches the memory.

    Returns
    -------
    seconds : dict of str to ndarray of shape (rounds,)
        The times.
    answers : dict of str to object
        What the contenders returned.
    """
    answers = {name: contender() for name, contender in contenders.items()}
    seconds = {name: np.empty(rounds) for name in contenders}
    for number, name in turns(contenders, rounds):
        started = time.perf_counter()
        contenders[name]()
        seconds[name][number] = time.perf_counter() - started
    return seconds, answers


def turns(contenders, rounds):
    """Yield (round, name), the order turning from round to round."""
    names = list(contenders)
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            yield number, name


def speedup(slow, fast):
    """Return the ratio of the medians and its text, with the range of the rounds' own ratios."""
    ratio, each = np.median(slow) / np.median(fast), slow / fast
    return ratio, f"{ratio:.3g} ({each.min():.3g} .. {each.max():.3g})"


def verdict(value, bar, *, below=False):
    """Compare with the bar: no more than a mark, so that one miss does not hide the rest."""
    if bar is None:
        return ""
    reached = value < bar if below else value >= bar
    return f"{'<' if below else '>='} {bar:g} {'reached' if reached else 'NOT REACHED'}"


def line(name, *cells):
    print(f"  {name:<40}" + "".join(f" {cell:>24}" for cell in cells), flush=True)


def check(statement, truth):
    """Print what holds, stop at what does not."""
    if not truth:
        raise SystemExit(f"WRONG: not true that {statement}")
    print(f"  checked: {statement}", flush=True)


def exponent(sizes, seconds):
    """Fit the power of the size that the time grows with."""
    return np.polyfit(np.log(sizes), np.log(seconds), 1)[0]


def cost_table(axis, sizes, contenders_of, rounds):
    """Print the median time at each size and the fitted exponent, a line a contender."""
    runs = [race(contenders_of(size), rounds)[0] for size in sizes]
    line(f"seconds by {axis}", *(f"{size:,}" for size in sizes), "exponent")
    for name in runs[0]:
        medians = [np.median(run[name]) for run in runs]
        line(name, *(f"{s:.3g}" for s in medians), f"{exponent(sizes, medians):.2f}")


def in_fresh_process(function, *arguments):
    """Call a function of a script's top level in a process that has run nothing before."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()


def peak_memory(function):
    """Call a function; return by how many bytes the resident memory rose at its highest.

    The high-water mark is the kernel's (Linux), reset first: ``ru_maxrss`` of a child process
    begins at its parent's size, and what was allocated before would hide what the call needs.
    """
    try:
        Path("/proc/self/clear_refs").write_text("5")
        before = _high_water()
        function()
        return _high_water() - before
    except OSError:
        return None


def _high_water():
    status = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(row.split()[1]) for row in status if row.startswith("VmHWM"))
