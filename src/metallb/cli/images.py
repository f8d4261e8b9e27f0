"""What a lab runs when a pod asks for one of our images: an image map, found by the entry point `kubelab.images`.

By image reference, then by the container's command (empty: the image's entrypoint), the program and its arguments;
`{python}` stands for the interpreter that the lab runs on. The container's `args` are appended.
"""

from __future__ import annotations

from typing import Final

_TAG: Final = "0.1.0"


def _image(process: str, binary: str) -> dict[str, list[str]]:
    program = ["{python}", "-m", "metallb", process]
    return {"": program, binary: program}


IMAGES: Final[dict[str, dict[str, list[str]]]] = {
    f"metallb-py/controller:{_TAG}": _image("controller", "/controller"),
    f"metallb-py/speaker:{_TAG}": _image("speaker", "/speaker"),
    f"metallb-py/operator:{_TAG}": _image("operator", "/manager"),
}
