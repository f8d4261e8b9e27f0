"""Writes packaging/chart's generated files and packaging/metallb-operator.yaml: `python -m scripts.install`."""

from __future__ import annotations

from scripts.install import chart, single
from scripts.olm.source import PACKAGING, Source


def main() -> None:
    source = Source.read()
    made = chart.files(source)
    for path in (chart.CHART / "templates").rglob("*.yaml"):
        if path.read_text().startswith(chart.NOTE) and str(path.relative_to(chart.CHART)) not in made:
            path.unlink()
    for name, text in made.items():
        path = chart.CHART / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (PACKAGING / single.NAME).write_text(single.text(source))


if __name__ == "__main__":
    main()
