"""A list of the changes, from the fragments of those not released yet and from CHANGELOG.md."""

import re
import tomllib
from pathlib import Path

from sphinx.util.docutils import SphinxDirective

LINK = re.compile(r"\[([^\]]+)\]\(([^)]+)\)")


def unreleased(root):
    """Return the fragments as lines of Markdown, grouped as towncrier groups them."""
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    settings = settings["tool"]["towncrier"]
    lines = []
    for kind in settings["type"]:
        fragments = sorted((root / settings["directory"]).glob(f"*.{kind['directory']}.md"))
        texts = [" ".join(path.read_text(encoding="utf-8").split()) for path in fragments]
        if texts:
            lines += [f"### {kind['name']}", "", *(f"- {text}" for text in sorted(texts)), ""]
    return ["## Not released yet", "", *lines] if lines else []


def released(root):
    """Return what CHANGELOG.md says of the releases."""
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    return text.partition("<!-- towncrier release notes start -->")[2].splitlines()


def as_rst(lines):
    """Return reStructuredText for lines of Markdown with headings, lists, links and code."""
    for line in lines:
        heading = re.match(r"(##+) (.*)", line)
        if heading:
            mark = "-" if heading[1] == "##" else "~"
            yield from (heading[2], mark * len(heading[2]), "")
        else:
            line = re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``", line)
            yield LINK.sub(r"`\1 <\2>`__", line)


class Changes(SphinxDirective):
    """Insert the list."""

    def run(self):
        """Return its sections."""
        root = Path(self.env.srcdir).parent
        self.env.note_dependency(root / "CHANGELOG.md")
        for fragment in (root / "changelog.d").glob("*.md"):
            self.env.note_dependency(fragment)
        text = "\n".join(as_rst(unreleased(root) + released(root)))
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def setup(app):
    """Register the directive."""
    app.add_directive("changes", Changes)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
