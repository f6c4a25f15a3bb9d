"""Kill a process while it saves an index, again and again, and open what is there.

A child saves two known indexes in turn into one folder, as fast as it can. It is killed (SIGKILL)
at a random moment. Then the folder must open as one of the two, whole: every byte is compared with
its checksum, and the codes, labels and parameters with those known. Printed are how often it was
which, how many kills came in the middle of a save (its files were still there), and versions.

Run it with ``python benchmarks/kill_save.py [--kills 200] [--seed 0]``, where there is ``fork``.
"""

import tempfile
from collections import Counter
from itertools import cycle
from pathlib import Path

import numpy as np
from _kill import Moments, parser_of
from _timing import header

from skhash.retrieval import HammingRetriever


def known_indexes():
    """Make two indexes that differ in all that is saved."""
    rng = np.random.default_rng(0)
    bits = [rng.random(shape) < 0.5 for shape in ((20_000, 64), (5_000, 300))]
    return {
        "A": HammingRetriever(1).fit(bits[0], np.arange(20_000)),
        "B": HammingRetriever(2).fit(bits[1]),
    }


def found(folder, known):
    """Name the index that opens, or what is wrong."""
    try:
        index = HammingRetriever.open(folder, verify=True)
    except (ValueError, OSError) as error:
        return f"broken: {error}"
    for name, other in known.items():
        if (
            index.get_params() == other.get_params()
            and np.array_equal(index.words_["codes"], other.words_["codes"])
            and np.array_equal(index.y_, other.y_)
        ):
            return name
    return "broken: a mixture"


def kill_saves(folder, known, n_kills, moments):
    """Count what opens after each kill, and the kills that interrupted a save."""

    def save_in_turn(_):
        for index in cycle(known.values()):
            index.save(folder)

    known["A"].save(folder)
    opened, interrupted = Counter(), 0
    for _ in range(n_kills):
        moments.kill(save_in_turn, 0, 0.1)
        opened[found(folder, known)] += 1
        named = (folder / "index.json").read_text()
        left = [path.name for path in folder.iterdir() if path.name != "index.json"]
        interrupted += any(name not in named for name in left)
    return opened, interrupted


def main():
    options = parser_of(__doc__).parse_args()
    header("numpy")
    with tempfile.TemporaryDirectory() as folder:
        opened, interrupted = kill_saves(
            Path(folder), known_indexes(), options.kills, Moments(options.seed)
        )
    print(f"{options.kills} kills, {interrupted} of them in the middle of a save; then opened:")
    for outcome, count in sorted(opened.items()):
        print(f"  {outcome:10} {count}")
    if set(opened) - {"A", "B"}:
        raise SystemExit("a kill left a broken index")


if __name__ == "__main__":
    main()
