"""The generated reference pages say what the code says, and their examples are right."""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml

from metallb.api.kinds import KINDS
from metallb.api.schema import Kind, object_schema
from metallb.api.v1beta1 import IPAddressPool, L2Advertisement
from metallb.config.build import Snapshot, build

REFERENCE = runpy.run_path(str(Path(__file__).parents[3] / "scripts" / "reference.py"))
PAGES: dict[Path, str] = REFERENCE["pages"]()
example: Callable[[Kind], str] = REFERENCE["example"]


@pytest.mark.parametrize("path", list(PAGES), ids=lambda path: path.name)
def test_what_is_generated_is_up_to_date(path: Path) -> None:
    assert path.read_text() == PAGES[path], f"{path.name} is stale: run `make generate`"


@pytest.mark.parametrize("path", list(PAGES), ids=lambda path: path.name)
def test_the_first_line_says_that_it_is_generated(path: Path) -> None:
    assert "Generated from" in PAGES[path].splitlines()[0]


def fields(schema: dict[str, Any]) -> set[str]:
    """Names of all fields in a schema."""
    properties = schema.get("properties", {})
    inner = [*properties.values(), *(schema[name] for name in ("items", "additionalProperties") if name in schema)]
    return set(properties).union(*(fields(each) for each in inner))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_field_stands_in_a_table(kind: Kind) -> None:
    page = next(text for path, text in PAGES.items() if path.name == "resources.md")
    missing = {name for name in fields(object_schema(kind)) if f"\n| `{name}` |" not in page}
    assert missing == {"apiVersion", "kind", "metadata"}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_examples_are_valid(kind: Kind) -> None:
    written = yaml.safe_load(example(kind))
    assert list(jsonschema.Draft7Validator(object_schema(kind)).iter_errors(written)) == []
    msgspec.convert(written, kind.model)


def test_the_examples_are_a_configuration_together() -> None:
    kinds = {kind.model: yaml.safe_load(example(kind)) for kind in KINDS}
    pool = msgspec.convert(kinds[IPAddressPool], IPAddressPool)
    advertisement = msgspec.convert(kinds[L2Advertisement], L2Advertisement)
    built = build(Snapshot([pool], [advertisement]))
    assert built.errors == ()
    assert built.config is not None
    assert [each.name for each in built.config.pools[0].l2] == ["shop"]


@pytest.mark.parametrize("process", REFERENCE["PROCESSES"], ids=lambda process: process[0])
def test_every_flag_variable_and_metric_stands_in_a_table(process: tuple[str, Any, Any]) -> None:
    _, flags, metrics = process
    pages = {path.name: text for path, text in PAGES.items()}
    for flag in flags:
        assert f"| `--{flag.name}` |" in pages["flags.md"] or not flag.name
        assert f"| `{flag.env}` |" in pages["flags.md"] or not flag.env
        assert flag.inert in pages["flags.md"]
    for metric in metrics:
        assert f"| `{metric.name}` |" in pages["metrics.md"]


def test_every_reason_of_a_dropped_frame_is_explained() -> None:
    sources = Path(__file__).parents[3] / "src" / "metallb"
    files = [*(sources / "protocols" / "arp").glob("*.py"), *(sources / "protocols" / "ndp").glob("*.py")]
    texts = [each.read_text() for each in [*files, sources / "speaker" / "link.py"]]
    codes = {code for text in texts for code in re.findall(r'DecodeError\("([a-z-]+)"', text)}
    reasons = {reason for text in texts for reason in re.findall(r'rop\("([a-z-]+)"\)', text)}
    assert len(codes) > 8
    assert len(reasons) > 6
    assert set(REFERENCE["DROPPED"]) == reasons | {f"malformed-{code}" for code in codes}
