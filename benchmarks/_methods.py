"""The rows of the leaderboard: all exported hashers, some of them in several settings."""

import importlib
from dataclasses import dataclass, field
from importlib.util import find_spec

from skhash import hashing

# Closest to what is known of the published method.
CFRH_AS_PUBLISHED = {
    "init": "random",
    "scale": 1.4,
    "pairing_weight": 1.0,
    "max_iter": 60,
    "watch_fraction": 0.0,
}

# Rows of hashers that have more than one, or another name than their class, in this order. All
# other hashers have one row, with their defaults and the name of their class without "Hasher".
VARIANTS = {
    "ConsensusHasher": {"Consensus": {}, 'Consensus, target="pair"': {"target": "pair"}},
    "CCAHasher": {"CCA + ITQ": {}},
    "ITQHasher": {
        "ridge + ITQ, image space": {"space": "image"},
        "ridge + ITQ, text space": {"space": "text"},
        "ITQ, shared space": {"space": "shared"},
    },
    "RandomHyperplaneHasher": {
        "hyperplanes, image space": {"space": "image"},
        "hyperplanes, shared space": {"space": "shared"},
    },
    "SignHasher": {
        "signs, image space": {"space": "image"},
        "signs, shared space": {"space": "shared"},
    },
    "CFRHHasher": {"CFRH": {}, "CFRH, as published": CFRH_AS_PUBLISHED},
}
KINDS = ["random", "closed form", "network", "own", "supervised"]


@dataclass(frozen=True)
class Method:
    """A row of the leaderboard.

    Parameters
    ----------
    name : str
        Name of the row.
    kind : {"random", "closed form", "network", "own", "supervised"}
        What it is; rows are in this order, and the cheap kinds are measured first.
    make : type, default=None
        The hasher's class; ``None`` draws codes at random.
    parameters : dict, default={}
        Its parameters, beside the length, the width of the image block and the seed.
    """

    name: str
    kind: str
    make: type | None = None
    parameters: dict = field(default_factory=dict, hash=False)

    def applies(self, collection, n_bits):
        """Say whether a collection has what the method needs."""
        if self.kind == "supervised" and collection.y is None:
            return False
        if self.parameters.get("target") == "pair" and not collection.counts_pairs:
            return False
        space = self.parameters.get("space")
        if space == "shared" and not collection.has_shared_space:
            return False
        # It has a bit a dimension, of the image block where the space is shared, too.
        return self.make is not hashing.SignHasher or n_bits <= collection.n_image


def find_methods(own=(), wanted=None):
    """Return the rows in their order.

    Parameters
    ----------
    own : sequence of str, default=()
        Classes of the user, each ``"module.Class"``.
    wanted : list of str, default=None
        Names of rows or of classes to return; ``None`` returns all.

    Returns
    -------
    list of Method
        Random codes first, then what is computed in closed form, what trains networks, classes of
        the user, and what learns from labels.

    Raises
    ------
    ValueError
        If a wanted name is unknown.
    """
    found = [Method("random codes", "random")]
    for name in hashing.__all__:
        make = getattr(hashing, name)
        kind = "network" if "._deep." in make.__module__ else "closed form"
        found += _rows(name, kind, make)
    for path in own:
        module, _, name = path.rpartition(".")
        found += _rows(name, "own", getattr(importlib.import_module(module), name))
    if find_spec("skhash.hashing.supervised") is not None:
        module = importlib.import_module("skhash.hashing.supervised")
        for name in module.__all__:
            found += _rows(name, "supervised", getattr(module, name))
    first = [row for rows in VARIANTS.values() for row in rows]
    # Sorting is stable: those that are not in the table stay in the order of their names.
    found.sort(key=lambda m: (KINDS.index(m.kind), _place(first, m.name)))
    if wanted is None:
        return found
    known = {m.name for m in found} | {m.make.__name__ for m in found if m.make}
    if unknown := set(wanted) - known:
        raise ValueError(f"unknown methods {sorted(unknown)}: give some of {sorted(known)}.")
    return [m for m in found if {m.name, getattr(m.make, "__name__", m.name)} & set(wanted)]


def _rows(name, kind, make):
    rows = VARIANTS.get(name, {name.removesuffix("Hasher"): {}})
    return [Method(row, kind, make, parameters) for row, parameters in rows.items()]


def _place(order, name):
    return order.index(name) if name in order else len(order)
