"""The check of the documentation's pages finds what it looks for, in a headless browser."""

import re
import subprocess
import sys
from pathlib import Path
from runpy import run_path

import pytest

SCRIPT = Path(__file__).parent.parent / "docs/check_site.py"
PAGE = """<!doctype html>
<html><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>A page</title>
<style>body {{ margin: 0 }} a {{ color: inherit }} article {{ padding: 1rem }}
@media (prefers-color-scheme: dark) {{ body {{ background: #111; color: #eee }} }}</style></head>
<body><article><p id="start">Text of a page.</p>{body}</article></body></html>
"""
# What is wrong with a page, the markup that is, and a part of the report.
DEFECTS = {
    "overflow": ('<div style="width: 600px">wide</div>', r"leaves the column by \d+ pixels.*phone"),
    "wide table": (
        f"<table><tr>{'<td>some_long_words</td>' * 20}</tr></table>",
        "leaves the column",
    ),
    "cut off": (
        '<p style="overflow: hidden; white-space: nowrap">' + "many words " * 20 + "</p>",
        "is cut off",
    ),
    "start out of reach": (
        '<div style="overflow-x: auto"><div style="width: 900px; margin-left: -50px">f</div></div>',
        "its start cannot be reached",
    ),
    "opens scrolled": (
        '<div id="s" style="overflow-x: auto"><div style="width: 2000px">f</div></div>'
        "<script>document.getElementById('s').scrollLeft = 50</script>",
        "opens scrolled",
    ),
    "scrolled text": (
        f'<p style="overflow-x: auto; white-space: nowrap">{"words " * 200}</p>',
        "text that must be scrolled",
    ),
    "contrast": ('<p style="color: #999; background: #888">grey</p>', "contrast of 1"),
    "light box": (
        '<script>document.documentElement.dataset.theme = "dark"</script>'
        '<div style="background: #fff; color: #000; height: 99px">white</div>',
        "a light box in the dark",
    ),
    "broken number": (
        '<table style="width: 30px"><tr><td>.103 ± .002</td></tr></table>',
        "a number on several lines: .*103",
    ),
    "no alternative text": ('<img src="page.svg">', "without alternative text: page.svg"),
    "missing picture": ('<img src="none.png" alt="a picture">', "broken link: none.png"),
    "exception": ("<script>undefined_name()</script>", "an exception"),
    "console": ("<script>console.error('failed')</script>", "an error in the console.*failed"),
    "network": ('<img src="https://example.invalid/a.png" alt="far">', "loaded from the network"),
    "link": ('<a href="none.html">nowhere</a>', "broken link: none.html"),
    "anchor": ('<a href="#none">nowhere</a>', "broken link: #none"),
}
FINE = """<a href="#start">above</a> <a href="second.html#start">another page</a>
<a href="https://example.invalid">elsewhere</a> <img src="page.svg" alt="a square">
<div style="overflow-x: auto"><div style="width: 2000px">a formula</div></div>
<table><tr><td>.103 ± .002</td><td><p>.103 / .002</p></td></tr></table>"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    if run_path(str(SCRIPT))["find_browser"]() is None:
        pytest.skip("no Chromium is installed")
    folder = tmp_path_factory.mktemp("site")
    (folder / "page.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><path d="M0 0h9v9z"/></svg>'
    )
    bodies = {name: body for name, (body, _) in DEFECTS.items()} | {"fine": FINE, "second": ""}
    for name, body in bodies.items():
        (folder / f"{name}.html").write_text(PAGE.format(body=body), encoding="utf-8")
    (folder / "search.html").write_text(
        PAGE.format(
            body='<div id="search-results"><ul></ul><p class="search-summary"></p></div><script>'
            "const found = location.search === '?q=faiss'; if (found) document.querySelector('ul')"
            ".innerHTML = '<li>a page</li>'; document.querySelector('.search-summary').textContent"
            " = found ? 'found 1 page' : 'did not match any documents';</script>",
        )
    )
    done = subprocess.run(
        [sys.executable, SCRIPT, folder], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 1, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_is_reported(report, name):
    assert re.search(rf"^{name}\.html: .*{DEFECTS[name][1]}", report, re.MULTILINE), report


@pytest.mark.parametrize("name", ["fine", "second"])
def test_nothing_is_said_of_a_page_without_defects(report, name):
    assert f"{name}.html" not in report


def test_words_that_the_search_does_not_find_are_reported(report):
    assert "nothing is found for offline" in report
    assert "nothing is found for faiss" not in report
