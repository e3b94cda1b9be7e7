"""A figure that code drew has a text for readers who hear the page, in place of the name of its file."""

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

DRAWN = "figure drawn by the code above"
DESCRIBED = f"{DRAWN}, described below"
CAPTION = "Figure. "  # begins the captions of the course


def alt_text(following: str) -> str:
    """The text of a figure, by what follows it.

    Examples
    --------
    >>> alt_text("Figure. A line that increases.")
    'figure drawn by the code above, described below'
    """
    return DESCRIBED if following.startswith(CAPTION) else DRAWN


class Describe(SphinxPostTransform):
    """Give each figure among the outputs of code its text."""

    default_priority = 900

    def run(self, **settings: Any) -> None:
        """Sphinx calls this for each page."""
        for cell in self.document.findall(nodes.container):
            if "cell" in cell["classes"]:
                following = cell.next_node(siblings=True, descend=False)
                for image in cell.findall(nodes.image):
                    image["alt"] = alt_text(following.astext() if following is not None else "")


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_post_transform(Describe)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
