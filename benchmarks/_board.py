"""Means and standard deviations of the leaderboard's cells, printed tables, CSV files."""

import csv
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
from _cells import slug
from _methods import KINDS

PUBLISHED = Path(__file__).with_name("published.csv")
HEADINGS = {
    "own": "methods of your own",
    "supervised": "trained with labels",
    "public code": "public code of others on these features",
    "published": "published, same features",
}
COSTS = ["fit_seconds", "encode_seconds", "model_bytes"]


def to_frame(cells):
    """Return the cells as a table, a row a cell and a column a number.

    Parameters
    ----------
    cells : iterable of dict
        What ``_cells.measure`` returns.

    Returns
    -------
    DataFrame
        Scores are in columns such as ``"mAP i"`` (from images to texts) and ``"mAP t"``.
    """
    rows = []
    for cell in cells:
        row = {name: value for name, value in cell.items() if not isinstance(value, dict | list)}
        for name, (to_text, to_image) in cell["scores"].items():
            row |= {f"{name} i": to_text, f"{name} t": to_image}
        rows.append(row | {"warned": bool(cell["warnings"])})
    return pd.DataFrame(rows)


def summarise(frame):
    """Return means and standard deviations over seeds.

    Parameters
    ----------
    frame : DataFrame
        What `to_frame` returns.

    Returns
    -------
    DataFrame
        A row a collection, method and length, in the order of `frame` and of the kinds, with a
        column for each mean, one with ``" sd"`` appended for each standard deviation of a score,
        and ``n_seeds``.
    """
    keys = ["collection", "protocol", "counts_pairs", "kind", "method", "n_bits"]
    scores = [name for name in frame if name.endswith((" i", " t"))]
    groups = frame.groupby(keys, sort=False, observed=True)
    means = groups[[*scores, *COSTS, "distinct", "item_bytes"]].mean()
    spreads = groups[scores].std(ddof=0).add_suffix(" sd")
    counts = groups.agg(n_seeds=("seed", "size"), n_warned=("warned", "sum"))
    found = means.join([spreads, counts]).reset_index()
    order = {name: place for place, name in enumerate(frame["method"].drop_duplicates())}
    found["_kind"], found["_place"] = found["kind"].map(KINDS.index), found["method"].map(order)
    return found.sort_values(["_kind", "_place", "n_bits"], kind="stable").drop(
        columns=["_kind", "_place"]
    )


def score_names(part):
    """Return the names of the scores that a collection has, such as ``"mAP"``."""
    names = [name.removesuffix(" i") for name in part if name.endswith(" i")]
    return [name for name in names if part[f"{name} i"].notna().any()]


def print_tables(summary):
    """Print a table a collection and length."""
    for collection, of_collection in summary.groupby("collection", sort=False):
        names = score_names(of_collection)
        for n_bits, part in of_collection.groupby("n_bits"):
            n_seeds = sorted(set(part["n_seeds"]))
            print(
                f"\n{collection.removesuffix(', apart')}, {part['protocol'].iloc[0]}, "
                f"{n_bits} bits "
                f"({part['item_bytes'].iloc[0]:.0f} bytes an item), "
                f"{' or '.join(map(str, n_seeds))} seeds"
            )
            heads = [f"{name + ' ' + way:<15}" for name in names for way in ("I->T", "T->I")]
            print(f"{'':<30}{''.join(heads)}{'fit s':>9}{'ms/1000':>9}{'model KiB':>11}")
            kind = None
            for _, row in part.iterrows():
                if row["kind"] != kind and row["kind"] in HEADINGS:
                    print(f"-- {HEADINGS[row['kind']]}")
                kind = row["kind"]
                print(_line(row, names), flush=True)


def _line(row, names):
    scores = [
        f"{row[f'{name} {way}']:.3f} ± {row[f'{name} {way} sd']:.3f}  "
        for name in names
        for way in "it"
    ]
    note = f"  warned in {row['n_warned']} seeds" if row["n_warned"] else ""
    if row["distinct"] < 0.1 and row["n_bits"] >= 16:
        note += f"  {row['distinct']:.0%} of the codes distinct"
    costs = f"{row['fit_seconds']:>9.2f}{1000 * row['encode_seconds']:>9.2f}"
    return f"{row['method']:<30}{''.join(scores)}{costs}{row['model_bytes'] / 1024:>11.0f}{note}"


def write_csv(path, summary):
    """Write all means and spreads, a line a collection, method and length."""
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = summary.select_dtypes("float").columns
    rounded = summary.copy()
    rounded[numbers] = rounded[numbers].map(lambda value: float(f"{value:.4g}"))
    rounded.to_csv(path, index=False)


def published(collection, protocol):
    """Return the rows of others for a collection: scores from papers and of public code."""
    frame = pd.read_csv(PUBLISHED)
    return frame[(frame["collection"] == collection) & (frame["protocol"] == protocol)]


def write_tables(folder, summary):
    """Write the tables that the user guide shows.

    A collection has a table for each score, ``COLLECTION-SCORE.csv``, with its protocols side by
    side, and one of costs, ``COLLECTION-cost.csv``.

    Parameters
    ----------
    folder : Path
        Where to.
    summary : DataFrame
        What `summarise` returns.

    Returns
    -------
    list of Path
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    summary = summary.assign(base=summary["collection"].str.removesuffix(", apart"))
    written = []
    for base, part in summary.groupby("base", sort=False):
        protocols = {p: rows for p, rows in part.groupby("protocol", sort=False)}
        for name in score_names(part):
            written.append(folder / f"{slug(base)}-{slug(name)}.csv")
            _write(written[-1], _score_table(base, name, protocols))
        written.append(folder / f"{slug(base)}-cost.csv")
        _write(written[-1], _cost_table(part, next(iter(protocols.values()))))
    return written


def _score_table(base, name, protocols):
    """Yield the rows of a table of one score: a column a protocol and length, then the spread."""
    lengths = {p: sorted(set(rows["n_bits"])) for p, rows in protocols.items()}
    heads = [f"{p}, {b}" if len(lengths) > 1 else f"{b} bits" for p in lengths for b in lengths[p]]
    yield ["codes", *heads, "± at most"]
    order = dict.fromkeys(
        (kind, method)
        for rows in protocols.values()
        for kind, method in zip(rows["kind"], rows["method"], strict=True)
    )
    columns = [f"{name} i", f"{name} t"]
    sections = {}
    for kind, method in order:
        cells, spread = [], 0.0
        for protocol, rows in protocols.items():
            own = rows[rows["method"] == method].set_index("n_bits")
            cells += [
                _pair(own.loc[b, columns]) if b in own.index else "" for b in lengths[protocol]
            ]
            spread = np.nanmax(
                [spread, own[[f"{c} sd" for c in columns]].to_numpy().max(initial=0)]
            )
        sections.setdefault(kind, []).append([method, *cells, _short(spread)])
    for kind, rows in _of_others(base, name, lengths).items():
        sections.setdefault(kind, []).extend(rows)
    for kind, rows in sections.items():
        if kind in HEADINGS:
            yield [f"*{HEADINGS[kind]}*", *[""] * (len(heads) + 1)]
        yield from rows


def _of_others(base, name, lengths):
    """Return rows of ``published.csv`` for a table, by their kind."""
    columns = {"mAP": ["mAP_i", "mAP_t"], "mAP@50": ["mAP50_i", "mAP50_t"]}.get(name)
    rows = {}
    for place, protocol in enumerate(lengths):
        others = published(base, protocol)
        for (kind, method), own in others.groupby(["kind", "method"], sort=False):
            own = own.set_index("n_bits")
            if columns is None or own[columns].isna().all(axis=None):
                continue
            cells = [[""] * len(bits) for bits in lengths.values()]
            cells[place] = [
                _pair(own.loc[b, columns]) if b in own.index else "" for b in lengths[protocol]
            ]
            rows.setdefault(kind, []).append([method, *chain(*cells), ""])
    return rows


def _cost_table(part, first):
    """Yield the rows of a table of costs, those of the first protocol."""
    lengths = sorted(set(first["n_bits"]))
    middle = 64 if 64 in lengths else lengths[len(lengths) // 2]
    fits = [f"fit, {b} bits, s" for b in lengths]
    yield ["codes", *fits, f"encode 1,000 items, {middle} bits, ms", f"model, {middle} bits, KiB"]
    for method, own in first.groupby("method", sort=False):
        own = own.set_index("n_bits")
        if not own["model_bytes"].any():  # random codes
            continue
        row = [_seconds(own.loc[b, "fit_seconds"]) if b in own.index else "" for b in lengths]
        at = own.loc[middle] if middle in own.index else None
        row.append("" if at is None else _seconds(1000 * at["encode_seconds"]))
        row.append("" if at is None else f"{at['model_bytes'] / 1024:,.0f}")
        yield [method, *row]


def _pair(values):
    if values.isna().all():
        return ""
    return " / ".join(_short(value) if np.isfinite(value) else "–" for value in values)


def _short(value):
    """Write a score as the guide does, without the zero in front."""
    return f"{value:.3f}".removeprefix("0")


def _seconds(value):
    return f"{value:.2g}" if value < 10 else f"{value:,.0f}"


def _write(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
