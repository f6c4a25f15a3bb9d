"""What every page gets: a description for search engines, figures that can be read on a phone."""

from html import escape

from docutils import nodes
from sphinx import addnodes
from sphinx_gallery.directives import imgsgnode

GENERATED = ("api/generated/", "gallery/")
ASIDE = (nodes.Admonition, nodes.table, nodes.footer, nodes.topic)
LENGTH = 160


def ancestors(node):
    """Yield what contains a node, from inside outwards."""
    while (node := node.parent) is not None:
        yield node


def beside(node):
    """Say whether a node is no part of the text; to docutils a class is an admonition, too."""
    return isinstance(node, ASIDE) and not isinstance(node, addnodes.desc)


def describe(doctree):
    """Return the first paragraph of a page, short enough for a list of results."""
    for paragraph in doctree.findall(nodes.paragraph):
        text = " ".join(paragraph.astext().split())
        if text and not any(beside(node) for node in ancestors(paragraph)):
            break
    else:
        return ""
    return text if len(text) <= LENGTH else text[: LENGTH - 3].rsplit(" ", 1)[0] + " ..."


def complete(app, pagename, templatename, context, doctree):
    """Write the description into the head of a page; no edit link where no source can be edited."""
    if pagename.startswith(GENERATED):
        context["page_source_suffix"] = ""
    text = doctree is not None and describe(doctree)
    if text:
        context["metatags"] += f'<meta name="description" content="{escape(text)}">\n'


def wrap_figures(app, doctree):
    """Put pictures into a box, which may scroll where the screen is narrow."""
    for node in [*doctree.findall(nodes.image), *doctree.findall(imgsgnode)]:
        if isinstance(node.parent, (nodes.section, nodes.figure, nodes.document)):
            box = nodes.container(classes=["wide-figure"])
            node.replace_self(box)
            box += node


def name_figures(app, doctree):
    """Name figures without a title after their section; sphinx-gallery takes the file's name."""
    for figure in doctree.findall(imgsgnode):
        if figure["alt"].startswith("plot "):
            section = next(node for node in ancestors(figure) if isinstance(node, nodes.section))
            figure["alt"] = f"Figure: {section.next_node(nodes.title).astext()}"


def name_thumbnails(app, doctree):
    """Say of which example a thumbnail is, in its alternative text."""
    for image in doctree.findall(nodes.image):
        if image["uri"].endswith("_thumb.png") and not image.get("alt"):
            name = image["uri"].rpartition("glr_plot_")[2].removesuffix("_thumb.png")
            image["alt"] = f"A figure of the example “{name.replace('_', ' ')}”"


def setup(app):
    """Connect to the build."""
    app.connect("doctree-read", wrap_figures)
    app.connect("doctree-read", name_figures)
    app.connect("doctree-read", name_thumbnails)
    app.connect("html-page-context", complete)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
