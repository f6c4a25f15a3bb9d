"""Tables of separated cells, without the limits of the `csv` module or the guesses of pandas."""

import re

import numpy as np
import pandas as pd

from .._inputs.messages import shorten


def records(text, separator=","):
    r"""Split a table into records of cells, as RFC 4180 says; blank lines are skipped.

    Parameters
    ----------
    text : str
        The table.
    separator : str, default=","
        What stands between two cells.

    Yields
    ------
    list of str
        The cells of a record. They may be of any length: `csv` stops at 131,072 characters, unless
        all of the process is changed.

    Raises
    ------
    ValueError
        If a quote is not closed.

    Examples
    --------
    >>> list(records('7.jpg,"Tom, a ""dog"" ."\n\n8.jpg\n'))
    [['7.jpg', 'Tom, a "dog" .'], ['8.jpg']]
    """
    plain = f"[^{separator}\r\n]*"
    cell = re.compile(
        f'(?:"([^"]*(?:""[^"]*)*)"({plain})|(?!")({plain}))({separator}|\r\n?|\n|\\Z)'
    )
    cells, position = [], 0
    while position < len(text) or cells:
        match = cell.match(text, position)
        if match is None:
            raise ValueError("a quote is not closed")
        quoted, rest, bare, end = match.groups()
        cells.append(bare if quoted is None else quoted.replace('""', '"') + rest)
        position = match.end()
        if end != separator:
            if len(cells) > 1 or cells[0].strip() or quoted is not None:
                yield cells
            cells = []


def read_separated(path, separator=None):
    """Read a file of separated cells into a table of str; missing cells are NaN.

    Without a `separator`, that is a comma; or a semicolon or a tabulator, where the header has some
    and no comma.
    """
    if separator is None:
        with path.open(encoding="utf-8-sig") as file:
            header = file.readline()
        separator = next((one for one in ",;\t" if one in header), ",")
    # Nothing is guessed: a caption "None" is a text, a file name "007" is no number.
    options = {"sep": separator, "dtype": str, "keep_default_na": False, "encoding": "utf-8-sig"}
    table = pd.read_csv(path, **options)
    names = pd.read_csv(path, header=None, nrows=1, **options).iloc[0].str.strip()
    if len(twice := names[names.duplicated() & (names != "")]):  # pandas renames the second one
        raise ValueError(f"its header has the column {shorten(twice.iloc[0])} twice: rename one")
    # Where an unquoted comma splits a caption, pandas makes the first column an index.
    if len(table) and not isinstance(table.index, pd.RangeIndex):
        raise ValueError(
            f"its first row has more fields than the header: quote fields that hold {separator!r}"
        )
    if table.shape[1] > 1 and (table.iloc[:, -1] == "").any():
        # To pandas, a line that ends too early ends with empty cells.
        lengths = map(len, records(path.read_text(encoding="utf-8-sig"), separator))
        lacking = np.array(list(lengths)[1:])[:, np.newaxis] <= np.arange(table.shape[1])
        table = table.mask(lacking)
    return table
