"""The images that the lab brings along, for trying and testing."""

from __future__ import annotations

from typing import Final

WEB: Final = "kubelab/web:1"
"""A web server that answers with its pod's and node's name; listens on port 8080, or on its first argument."""

IMAGES: Final[dict[str, dict[str, list[str]]]] = {
    WEB: {"": ["{python}", "-m", "kubelab.web"]},
}
"""By image reference: the program of each command; the empty command is the image's entrypoint."""
