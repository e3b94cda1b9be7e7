"""What the metadata of a release adds to pyproject.toml: the address of the project, and README for a package index.

The address is that of the repository which builds the release, in the variable BAYESGMM_HOME: no file repeats it. With
it, the links and pictures of README lead to the tag of the version. Without it, links become text and pictures are
left out, because a package index has no files beside README.
"""

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

PICTURE = re.compile(r"!\[([^\]]*)\]\((?!https?:)([^)]+)\)\n*")
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!https?:)([^)]+)\)")


class ReleaseMetadata(MetadataHookInterface):
    """Set ``readme``, and ``urls`` where the address is known."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Change the metadata in place."""
        home = os.environ.get("BAYESGMM_HOME", "").rstrip("/")
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        at = f"v{metadata['version']}"
        metadata["readme"] = {"content-type": "text/markdown", "text": for_index(text, home, at)}
        if home:
            metadata["urls"] = urls(home, at)


def urls(home: str, at: str) -> dict[str, str]:
    """Return the pages of a repository by the names that a package index shows as symbols.

    >>> urls("https://code.example/mixtures", "v1.0.0")["Changelog"]
    'https://code.example/mixtures/blob/v1.0.0/CHANGELOG.md'
    """
    return {
        "Source": home,
        "Documentation": f"{home}/blob/{at}/docs/index.md",
        "Issues": f"{home}/issues",
        "Changelog": f"{home}/blob/{at}/CHANGELOG.md",
    }


def for_index(text: str, home: str, at: str) -> str:
    """Return README with links and pictures that work anywhere.

    >>> for_index("See [this](docs/a.md).", "https://code.example/mixtures", "v1.0.0")
    'See [this](https://code.example/mixtures/blob/v1.0.0/docs/a.md).'
    >>> for_index("See [this](docs/a.md).", "", "v1.0.0")
    'See this.'
    """
    if home:
        text = PICTURE.sub(lambda found: _elsewhere(found, f"{home}/raw/{at}"), text)
        return LINK.sub(rf"[\1]({home}/blob/{at}/\2)", text)
    return LINK.sub(r"\1", PICTURE.sub("", text))


def _elsewhere(picture: re.Match[str], folder: str) -> str:
    return picture[0].replace(f"]({picture[2]})", f"]({folder}/{picture[2]})")
