"""Render formulas as MathML, which browsers draw by themselves.

No script is loaded and nothing is fetched, so that the pages read the same offline. The translator
is that of docutils, on which Sphinx stands anyway.
"""

import re

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging

logger = logging.getLogger(__name__)
OVERLINE = re.compile(r'<mover accent="false">(.*?)<mo accent="true">_</mo>\s*</mover>', re.DOTALL)


def translate(node, tex, *, display):
    """Return a formula as MathML; warn, with its place, where that fails."""
    try:
        mathml = tex2mathml(tex, as_block=display)
    except MathError as error:
        logger.warning("a formula cannot be translated: %s", error, location=node)
        return ""
    # A pair of norm bars must not differ in height, as it does where one of them has an exponent.
    mathml = re.sub(r"(<mo[^>]*)>‖", r'\1 stretchy="false">‖', mathml)
    # Few fonts can stretch a line: the style sheet draws it.
    return OVERLINE.sub(r'<mrow class="overline">\1</mrow>', mathml)


def visit_inline(self, node):
    """Write a formula inside a line."""
    self.body.append(translate(node, node.astext(), display=False))
    raise nodes.SkipNode


def visit_display(self, node):
    """Write a formula of its own line, or of several, which are aligned at &."""
    tex = node.astext()
    if "\\\\" in tex and "\\begin" not in tex:
        tex = f"\\begin{{aligned}}{tex}\\end{{aligned}}"
    self.body.append(self.starttag(node, "div", CLASS="math"))
    self.body.append(translate(node, tex, display=True))
    self.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app):
    """Register the renderer."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_display, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
