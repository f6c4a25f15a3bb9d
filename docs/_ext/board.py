"""A table of some rows and columns of the leaderboard, read from its CSV files."""

import csv
import io
from pathlib import Path
from typing import ClassVar

from sphinx.util.docutils import SphinxDirective


class LeaderboardTable(SphinxDirective):
    """Insert the table: a line of content is a column, ``title | file | column of the file``."""

    has_content = True
    option_spec: ClassVar = {"rows": str.splitlines}

    def run(self):
        """Return the table."""
        rows = [name.strip() for name in self.options["rows"] if name.strip()]
        table = [["codes"], *([name] for name in rows)]
        for line in self.content:
            title, file, column = (part.strip() for part in line.split("|"))
            values = self.read(file, column)
            for cells, value in zip(table, [title, *map(values.get, rows)], strict=True):
                cells.append(value or "")
        if missing := [cells[0] for cells in table if not any(cells[1:])]:
            raise self.error(f"no file has the rows {missing}")
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows(table)
        head = [".. csv-table::", "   :class: numbers", "   :header-rows: 1", ""]
        lines = [f"   {line}" for line in out.getvalue().splitlines()]
        return self.parse_text_to_nodes("\n".join(head + lines))

    def read(self, file, column):
        """Return a column of a file by the names of its rows."""
        path = Path(self.env.srcdir) / "leaderboard" / file
        self.env.note_dependency(path)
        with path.open(encoding="utf-8", newline="") as lines:
            table = list(csv.DictReader(lines))
        if column not in table[0]:
            raise self.error(f"{file} has no column {column!r}: {list(table[0])}")
        return {row["codes"]: row[column] for row in table}


def setup(app):
    """Register the directive."""
    app.add_directive("leaderboard-table", LeaderboardTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
