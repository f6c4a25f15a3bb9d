"""Plots of the leaderboard: quality against bits, and against the time of a fit."""

import matplotlib as mpl
import numpy as np
from _board import score_names
from _cells import slug
from matplotlib import pyplot as plt

from skhash.metrics._display_labels import label_beside, spread

# Shades of one colour for a kind; the first one names it.
COLOURS = {
    "random": ["#555555"],
    "closed form": ["#0072b2", "#00486f", "#4a90c4", "#007a7a"],
    "network": ["#c04e00", "#8a3a00", "#b07000", "#c2255c"],
    "own": ["#000000"],
    "supervised": ["#8a4a9e", "#5e2d70"],
}
NAMES = {
    "closed form": "closed form",
    "network": "network",
    "own": "your own",
    "supervised": "trained with labels",
}
MARKERS = "os^Dv*PXdph<>"
LENGTH = 64
STYLE = {
    "font.size": 9,
    "svg.hashsalt": "skhash",  # the same numbers give the same file
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "white",
}


def draw_all(folder, summary):
    """Draw two pictures a collection and protocol.

    Parameters
    ----------
    folder : Path
        Where to, as ``COLLECTION-bits.svg`` and ``COLLECTION-seconds.svg``.
    summary : DataFrame
        What ``_board.summarise`` returns.

    Returns
    -------
    list of Path
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for collection, part in summary.groupby("collection", sort=False):
        for name, draw in {"bits": draw_bits, "seconds": draw_seconds}.items():
            with mpl.rc_context(STYLE):
                figure = draw(part)
                written.append(folder / f"{slug(collection)}-{name}.svg")
                figure.savefig(written[-1], metadata={"Date": None})
                plt.close(figure)
    return written


def draw_bits(part):
    """Draw a panel a direction, a line a method, its name at its end."""
    lengths = sorted(set(part["n_bits"]))
    figure, panels = plt.subplots(2, 1, figsize=(4.3, 9.6))
    figure.subplots_adjust(left=0.115, right=0.6, top=0.915, bottom=0.05, hspace=0.2)
    _title(figure, part)
    for axes, way, title in zip(panels, "it", ("image to text", "text to image"), strict=True):
        lines = list(_lines(part))
        for line in lines:
            rows = line["rows"]
            axes.errorbar(
                rows["n_bits"],
                rows[f"mAP {way}"],
                rows[f"mAP {way} sd"],
                color=line["colour"],
                marker=line["marker"],
                markersize=3.5,
                linewidth=1,
                elinewidth=0.7,
                linestyle=":" if line["kind"] == "random" else "-",
            )
        axes.set_xscale("log", base=2)
        axes.set_xticks(lengths, [f"{length}" for length in lengths])
        axes.minorticks_off()
        axes.set_xlim(lengths[0] / 1.15, lengths[-1] * 1.15)
        axes.set_title(title, loc="left", fontsize=9)
        axes.grid(axis="y", color="0.92")
        axes.set_axisbelow(True)
        figure.draw_without_rendering()
        _label_ends(axes, lines, f"mAP {way}")
    panels[1].set_xlabel("bits")
    return figure


def draw_seconds(part):
    """Draw the mean of both directions against the seconds of a fit, at one length."""
    lengths = sorted(set(part["n_bits"]))
    length = LENGTH if LENGTH in lengths else lengths[len(lengths) // 2]
    part = part[part["n_bits"] == length]
    figure, axes = plt.subplots(figsize=(4.3, 5.6))
    figure.subplots_adjust(left=0.125, right=0.985, top=0.83, bottom=0.085)
    _title(figure, part, f"{length} bits, mean of both directions")
    lines = [line for line in _lines(part) if line["kind"] != "random"]
    points, spreads = [], []
    for line in lines:
        row = line["rows"].iloc[0]
        score = (row["mAP i"] + row["mAP t"]) / 2
        spread = (row["mAP i sd"] + row["mAP t sd"]) / 2
        seconds = max(row["fit_seconds"], 1e-4)
        look = {"color": line["colour"], "marker": line["marker"], "markersize": 5}
        axes.errorbar([seconds], [score], [spread], elinewidth=0.8, **look)
        points.append(np.array([[seconds, score]]))
        spreads.append(np.array([spread]))
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.set_xlim(low / 2, high * 2)
    axes.margins(y=0.08)
    axes.set_xlabel("seconds of one thread for a fit")
    axes.grid(color="0.94")
    axes.set_axisbelow(True)
    random = part[part["kind"] == "random"]
    if len(random):
        level = (random["mAP i"].iloc[0] + random["mAP t"].iloc[0]) / 2
        note = f"random codes: {level:.3f}".replace("0.", ".")
        axes.text(
            0.99, 0.01, note, transform=axes.transAxes, ha="right", color=COLOURS["random"][0]
        )
    figure.draw_without_rendering()
    names, colours = ([line[key] for line in lines] for key in ("name", "colour"))
    label_beside(axes, points, spreads, names, colours, fontsize=7.5)
    return figure


def _label_ends(axes, lines, score):
    """Write the name of each line right of the axes, and lead from it to the line's last point."""
    ends = np.array([line["rows"][["n_bits", score]].iloc[-1] for line in lines], dtype=float)
    frame, size = axes.get_window_extent(), 7.5
    wanted = (axes.transData.transform(ends)[:, 1] - frame.y0) / frame.height
    height = 1.15 * size * axes.figure.dpi / 72 / frame.height
    leader = {"arrowstyle": "-", "linewidth": 0.5, "shrinkA": 0, "shrinkB": 3}
    for line, end, place in zip(
        lines, ends, spread(wanted, np.full(len(lines), height)), strict=True
    ):
        look = {"color": line["colour"], "fontsize": size, "va": "center"}
        axes.text(1.1, place, line["name"], transform=axes.transAxes, **look)
        arrow = leader | {"color": line["colour"]}
        axes.annotate("", end, (1.09, place), "data", "axes fraction", arrow, annotation_clip=False)


def _lines(part):
    """Yield the name, the kind, the rows and the look of each method."""
    for place, ((kind, name), rows) in enumerate(part.groupby(["kind", "method"], sort=False)):
        yield {
            "name": name,
            "kind": kind,
            "rows": rows.sort_values("n_bits"),
            "colour": COLOURS[kind][place % len(COLOURS[kind])],
            "marker": MARKERS[place % len(MARKERS)],
        }


def _title(figure, part, more=""):
    """Name the collection, its protocol and score, and the colours of the kinds."""
    collection = part["collection"].iloc[0].removesuffix(", apart")
    score = "mAP of the other half" if part["counts_pairs"].iloc[0] else "mAP over all ranks"
    assert "mAP" in score_names(part)
    head = f"{collection}, {part['protocol'].iloc[0]}"
    top = figure.get_size_inches()[1]
    lines = [(head, "black", 10), (", ".join(filter(None, [score, more])), "0.3", 8.5)]
    for row, (text, colour, size) in enumerate(lines):
        figure.text(
            0.02, 1 - (0.17 + 0.19 * row) / top, text, color=colour, fontsize=size, va="center"
        )
    left = 0.02
    for kind in [kind for kind in NAMES if kind in set(part["kind"])]:
        text = figure.text(
            left,
            1 - 0.55 / top,
            NAMES[kind],
            color=COLOURS[kind][0],
            fontsize=8.5,
            va="center",
            weight="bold",
        )
        extent = text.get_window_extent(figure.canvas.get_renderer())
        left = extent.x1 / figure.bbox.width + 0.03
