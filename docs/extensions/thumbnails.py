"""Grids of small pictures: the first figure of each page, or of each section of a page, with a link to its code."""

from collections.abc import Iterator
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective


class Grid(nodes.General, nodes.Element):
    """The place of a grid, until the pages that it shows have been read."""


class Thumbnails(SphinxDirective):
    """List pages, one per line; with ``:sections:`` each of their sections has a picture."""

    has_content = True
    option_spec: ClassVar = {"sections": directives.flag}

    def run(self) -> list[nodes.Node]:
        """Mark the place of the grid."""
        pages = [self.env.relfn2path(f"{name.strip()}.md")[0].removesuffix(".md") for name in self.content if name]
        for page in pages:
            self.env.note_dependency(f"{page}.md")
        return [Grid(pages=pages, sections="sections" in self.options)]


class Fill(SphinxPostTransform):
    """Put the pictures in, before one of the forms of each output is chosen."""

    default_priority = 1

    def run(self, **settings: Any) -> None:
        """Sphinx calls this for each page."""
        for grid in list(self.document.findall(Grid)):
            box = nodes.container(classes=["thumbnails"])
            for page in grid["pages"]:
                box += [self.linked(page, *entry) for entry in self.entries(page, grid["sections"])]
            grid.replace_self(box)

    def entries(self, page: str, by_section: bool) -> Iterator[tuple[str, str, nodes.Element]]:
        """The place on the page, the title and the contents of each entry."""
        tree = self.env.get_doctree(page)
        if not by_section:
            yield "", self.env.titles[page].astext(), tree
            return
        (whole,) = (node for node in tree.children if isinstance(node, nodes.section))
        for section in whole.children:
            if isinstance(section, nodes.section):
                yield f"#{section['ids'][0]}", section.next_node(nodes.title).astext(), section

    def linked(self, page: str, place: str, title: str, contents: nodes.Element) -> nodes.paragraph:
        """A picture with its title, as a link."""
        link = nodes.reference("", "", internal=True, page=page, place=place)
        image = next(contents.findall(nodes.image), None)  # there is none where the pages are not run
        if image is not None:
            link += nodes.image(**{**image.attributes, "alt": ""})
        link += nodes.inline(text=title)
        return nodes.paragraph("", "", link)


def lead(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Give the links their addresses, which only the builder knows."""
    for link in doctree.findall(nodes.reference):
        if "page" in link:
            link["refuri"] = app.builder.get_relative_uri(docname, link["page"]) + link["place"]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_node(Grid)
    app.add_directive("thumbnails", Thumbnails)
    app.add_post_transform(Fill)
    app.connect("doctree-resolved", lead)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
