"""Names of the package in a text, such as ``standard_errors`` or ``bg.select(...)``, lead to their pages."""

import re

from docutils import nodes
from sphinx.application import Sphinx

NAME = re.compile(
    r"(?P<variable>\w+ = )?(?P<package>bg\.|bayesgmm\.)?(?P<name>[A-Za-z][\w.]*)(?P<call>\(.*\)(\[.*\])?)?"
)
WORDS = {"condition", "density", "evidence", "fit", "info", "load", "model", "partition", "report", "save", "source"}
LINKED = (nodes.reference, nodes.title, nodes.term)  # a name in these is not linked, or is already


def named(text: str) -> list[str]:
    """The full names that a code in a text may have.

    Words that are often variables need a prefix or a call. An assignment needs a prefix: other libraries have names in
    common with this one.

    Examples
    --------
    >>> named("standard_errors")
    ['bayesgmm.standard_errors', 'bayesgmm.apps.standard_errors']
    >>> named("a = bg.select(X)['bic']")[0], named("fit"), named("gmm = GaussianMixture()"), named("a + b")
    ('bayesgmm.select', [], [], [])
    """
    found = NAME.fullmatch(text)
    if found is None:
        return []
    ambiguous = found["variable"] or (found["name"] in WORDS and not found["call"])
    if ambiguous and not found["package"]:
        return []
    return [f"bayesgmm.{found['name']}", f"bayesgmm.apps.{found['name']}"]


def link(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Link the names of a page, after everything else is resolved."""
    known = app.env.domains.python_domain.objects
    for literal in list(doctree.findall(nodes.literal)):
        found = next((known[name] for name in named(literal.astext()) if name in known), None)
        inside = any(isinstance(parent, LINKED) for parent in ancestors(literal))
        if found is None or inside or found.docname == docname:
            continue
        address = f"{app.builder.get_relative_uri(docname, found.docname)}#{found.node_id}"
        leading = nodes.reference("", "", internal=True, refuri=address)
        literal.replace_self(leading)
        leading += literal


def ancestors(node: nodes.Node) -> list[nodes.Node]:
    """The nodes that a node is in."""
    above = []
    while node.parent is not None:
        node = node.parent
        above.append(node)
    return above


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-resolved", link)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
