"""How a retrieval report prints."""

import html

RADIUS = 2
_DEFINITIONS = {
    "hits": "stops at rank {k}, divided by the number of relevant items up to there",
    "possible": "stops at rank {k}, divided by {k} or the number of relevant items if smaller",
    "relevant": "stops at relevant item number {k}, divided by {k} or their number if smaller",
}


class RetrievalReport:
    """Result of `retrieval_report`, which prints as a table and converts to a dataframe.

    Parameters
    ----------
    frame : pandas.DataFrame
        The numbers, a row for each direction.
    codes : str
        What the codes are.
    gallery : str
        What is searched.
    k, normalize, confidence_level, n_resamples
        What was given to `retrieval_report`.
    """

    def __init__(self, frame, *, codes, gallery, k, normalize, confidence_level, n_resamples):
        self._frame = frame
        self._codes = codes
        self._gallery = gallery
        self._k = k
        self._normalize = normalize
        self._confidence = f"{100 * confidence_level:g}%"
        self._n_resamples = n_resamples

    def to_frame(self):
        """Return the numbers as a pandas.DataFrame, a row for each direction."""
        return self._frame.copy()

    def __repr__(self):
        rows = self._rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
            for row in rows
        ]
        lines.insert(1, "-" * len(lines[0]))
        lines.insert(-1, "")  # random codes stand apart
        protocol = self._protocol()
        margin = max(map(len, protocol))
        lines += ["", *(f"{name.ljust(margin)}  {text}" for name, text in protocol.items())]
        return "\n".join(lines)

    def _repr_html_(self):
        head, *body = [
            [html.escape(cell).replace("-&gt;", "→") for cell in r] for r in self._rows()
        ]
        heads = "".join(f"<th>{name}</th>" for name in head)
        lines = [
            f"<tr><th>{name}</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
            for name, *cells in body
        ]
        notes = [f"{html.escape(n)}: {html.escape(text)}" for n, text in self._protocol().items()]
        return (
            f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
            f"<p><small>{'<br>'.join(notes)}</small></p>"
        )

    def _rows(self):
        """Return the cells of the table, header first."""
        scores = [f"mAP@{self._k}", f"P@{self._k}", f"P@H<={RADIUS}", "R@1", "R@5", "R@10"]
        rows = [["", "mAP", f"{self._confidence} interval", "tie bounds", *scores]]
        for name, row in self._frame.iterrows():
            ends = [("mAP_low", "mAP_high"), ("mAP_worst", "mAP_best")]
            spans = [f"{_short(row[low])} - {_short(row[high])}" for low, high in ends]
            rows.append([str(name), _short(row["mAP"]), *spans, *(_short(row[s]) for s in scores)])
        return rows

    def _protocol(self):
        """Return the lines that explain the numbers."""
        k = self._k
        lines = {
            "queries": self._count_queries(),
            "gallery": self._gallery,
            "codes": self._codes,
            "mAP": "mean average precision over the whole gallery, the expectation over ties",
            f"{self._confidence} interval": "of that mean, by bootstrap over queries "
            f"({self._n_resamples:,} resamples)",
            "tie bounds": "that mean with ties in the worst and in the best order",
            f"mAP@{k}": _DEFINITIONS[self._normalize].format(k=k),
            f"P@H<={RADIUS}": f"precision within Hamming distance {RADIUS}; a query that finds "
            "nothing there counts 0",
            "R@k": "share of queries with a relevant item among the first k",
            "random codes": "as many and as long, drawn at random: the score of knowing nothing",
        }
        if "real" in self._codes:
            del lines[f"P@H<={RADIUS}"]
        return lines

    def _count_queries(self):
        frame = self._frame
        across = frame["n_without_relevant"].iloc[0]
        within = frame["n_without_relevant"].get("image -> image", across)
        text = f"{frame['n_queries'].iloc[0]:,}"
        if not (across or within):
            return f"{text}, all with a relevant item"
        text += f", of which {across:,} have no relevant item and count 0"
        return text if across == within else f"{text} (within a modality {within:,})"


def _short(score):
    """Write a score from 0 to 1 with three decimals: .250, 1.000."""
    return "-" if score != score else f"{score:.3f}".removeprefix("0")
