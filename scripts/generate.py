"""Writes what is generated: CRDs (manifests/crds), pages (docs/reference). Tests fail when they are stale."""

from __future__ import annotations

from pathlib import Path

import yaml

from metallb.api.kinds import KINDS
from metallb.api.schema import definition
from metallb.api.v1beta1 import GROUP

ROOT = Path(__file__).resolve().parent.parent
NOTE = "# Generated from src/metallb/api by `make generate`: change it there.\n"


class _Plain(yaml.SafeDumper):
    """Writes repeated parts out: anchors are hard to read."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  # the base class's signature
        return True


def crds() -> dict[Path, str]:
    """The text of each CRD, by the file it belongs in."""
    return {
        ROOT / "manifests" / "crds" / f"{GROUP}_{kind.plural}.yaml": NOTE
        + yaml.dump(definition(kind), Dumper=_Plain, sort_keys=False, width=120)
        for kind in KINDS
    }


def main() -> None:
    from scripts import reference, rules

    for path, text in (crds() | reference.pages() | {rules.PAGE: rules.page()}).items():
        path.write_text(text)
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
