"""Kill a process while it changes a saved index, again and again, and open what is there.

A child opens an index with ``durable=True`` and appends, removes, updates and compacts, as fast as
it can; it reports each change before it begins it, and once the index has made it. The child is
killed (SIGKILL) at a random moment. Then the folder must open, every byte compared with its
checksum, as the index after all changes that were reported as made, or after these and the one that
had begun: nothing acknowledged is lost, and nothing that was removed comes back. The next child
goes on from there.

Run it with ``python benchmarks/kill_index.py [--kills 200] [--seed 0]``, where there is ``fork``.
"""

import random
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
from _kill import Moments, parser_of
from _timing import header

from skhash.retrieval import HammingRetriever

N_BITS, MOST = 64, 3000


def draw_change(rng, items):
    """Draw a change of the items, a dict of id to (code, label); return it with the items after."""
    kinds = ["append", "append", "remove", "update", "compact"]
    kind = "append" if len(items) < 20 else rng.choice(kinds if len(items) < MOST else kinds[2:])
    size = rng.randrange(1, 200 if kind == "append" else 20)
    if kind == "append":  # ids that were removed come again
        free = [n for n in rng.sample(range(2 * MOST), 400) if n not in items]
        ids = free[:size]
    else:
        ids = rng.sample(sorted(items), size)
    codes = np.array([[rng.random() < 0.5 for _ in range(N_BITS)] for _ in ids])
    labels = np.array([rng.randrange(1000) for _ in ids])
    after = dict(items)
    if kind == "remove":
        for key in ids:
            del after[key]
    elif kind != "compact":
        after.update(
            (key, (code.tobytes(), int(label)))
            for key, code, label in zip(ids, codes, labels, strict=True)
        )
    return (kind, codes, labels, ids), after


def make(index, change):
    """Make a change."""
    kind, codes, labels, ids = change
    if kind == "append":
        index.partial_fit(codes, labels, ids=ids)
    elif kind == "update":
        index.update(codes, ids, labels)
    elif kind == "remove":
        index.remove(ids)
    else:
        index.compact()


def opened(folder):
    """Return the items of the index in a folder."""
    index = HammingRetriever.open(folder, verify=True)
    found = index.search(np.zeros((1, N_BITS), dtype=bool), len(index))
    rows, _ = index.kneighbors(np.zeros((1, N_BITS), dtype=bool), len(index))[::-1]
    words = np.asarray(index.words_["codes"][:, rows[0]]).T
    bits = np.unpackbits(np.ascontiguousarray(words).view(np.uint8), axis=1, bitorder="little")
    return {
        int(key): (code.astype(bool).tobytes(), int(label))
        for key, code, label in zip(found["id"], bits, found["label"], strict=True)
    }


def run_child(folder, seed, items, report):
    """Change the index until killed."""
    rng, index = random.Random(seed), HammingRetriever.open(folder, durable=True)
    while True:
        change, items = draw_change(rng, items)
        report(b"b")
        make(index, change)
        report(b"d")


def kill_changes(folder, n_kills, moments):
    """Count what opens after each kill, and the changes that were made."""
    first = np.zeros((1, N_BITS), dtype=bool)
    HammingRetriever().fit(first, [0], ids=[0]).save(folder)
    items, outcomes, n_made, kinds = {0: (first[0].tobytes(), 0)}, Counter(), 0, Counter()
    for _ in range(n_kills):
        seed = moments.random.random()
        reported = moments.kill(partial(run_child, folder, seed, items), 0.01, 0.2)
        again = random.Random(seed)
        for _ in range(reported.count(b"d")):
            change, items = draw_change(again, items)
            kinds[change[0]] += 1
            n_made += 1
        change, begun = draw_change(again, items)
        found = opened(folder)
        if found == items:
            outcomes["all that was acknowledged"] += 1
        elif found == begun and reported.endswith(b"b"):
            outcomes[f"and the {change[0]} that had begun"] += 1
            items = begun
        else:
            outcomes["BROKEN"] += 1
            items = found
    return outcomes, n_made, kinds


def main():
    options = parser_of(__doc__).parse_args()
    header("numpy")
    with tempfile.TemporaryDirectory() as folder:
        outcomes, n_made, kinds = kill_changes(
            Path(folder, "index"), options.kills, Moments(options.seed)
        )
    made = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    print(f"{options.kills} kills after {n_made} changes ({made}); then opened:")
    for outcome, count in sorted(outcomes.items()):
        print(f"  {outcome:40} {count}")
    if outcomes["BROKEN"]:
        raise SystemExit("a kill lost a change, or brought back what was removed")


if __name__ == "__main__":
    main()
