"""Render formulas as MathML, which browsers draw by themselves.

No script is loaded and nothing is fetched, so that the pages read the same offline. The translator
is that of docutils, on which Sphinx stands anyway.
"""

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml


def visit_inline(self, node):
    self.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def visit_display(self, node):
    tex = node.astext()
    if "\\\\" in tex and "\\begin" not in tex:
        tex = f"\\begin{{aligned}}{tex}\\end{{aligned}}"
    self.body.append(self.starttag(node, "div", CLASS="math"))
    self.body.append(tex2mathml(tex, as_block=True))
    self.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_display, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
