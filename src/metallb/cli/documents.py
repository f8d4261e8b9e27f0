"""Manifests as kubectl reads them: files, folders and streams become objects that know where they are written.

    for document in read_text("pools.yaml", text):
        document.value, document.line_of(("spec", "addresses", 0))

YAML is read by `metallb.cli.plain`'s rules; a key that stands twice in one mapping is an error here, kubectl takes the
last one without a word.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from metallb.cli import plain

FieldPath = tuple[str | int, ...]
"""Where a value stands: keys and positions."""

_YAML_BREAKS: Final = re.compile("[\x85\u2028\u2029]")
"""Line breaks in YAML 1.1, and in JSON not."""

SUFFIXES: Final = (".json", ".yaml", ".yml")
"""Files of a folder that are read."""

_PLAIN: Final = "!plain"
_STR: Final = "tag:yaml.org,2002:str"
_TAGS: Final[dict[str, tuple[type, ...]]] = {
    _PLAIN: (str, int, float, bool, type(None)),
    _STR: (str,),
    "tag:yaml.org,2002:int": (int,),
    "tag:yaml.org,2002:float": (int, float),
    "tag:yaml.org,2002:bool": (bool,),
    "tag:yaml.org,2002:null": (type(None),),
    "tag:yaml.org,2002:timestamp": (str,),
}
"""What a scalar of each tag is; others are not JSON."""
_MERGE: Final = "<<"
_MOST_VALUES: Final = 1_000_000
"""Values of one document: aliases of aliases can grow beyond all bounds."""
_DEEPEST: Final = 200
"""Levels of one document; API servers take fewer."""


class UnreadableError(Exception):
    """An input that is no manifest, or can't be had: names it, the place and what is wrong."""


@dataclass(frozen=True, slots=True)
class Document:
    """One object of the input.

    Attributes:
        file: as it was named; `-` is standard input.
        index: of the YAML document in the file, from 1.
        value: the object as JSON.
        root: where the object stands in the document: members of a `List` are further in.
        lines: line numbers by path, as far as they are known.
        repeated: paths of keys that stand twice in their mapping.
    """

    file: str
    index: int
    value: Any
    root: FieldPath = ()
    lines: dict[FieldPath, int] = field(default_factory=dict, repr=False)
    repeated: tuple[FieldPath, ...] = ()

    def line_of(self, path: FieldPath = ()) -> int | None:
        """The line of a field, or of the nearest object around it that is written; None: unknown."""
        whole = self.root + path
        return next((self.lines[whole[:end]] for end in range(len(whole), -1, -1) if whole[:end] in self.lines), None)


class _Loader(yaml.CSafeLoader):
    """Leaves plain scalars as they are written."""

    yaml_implicit_resolvers: dict[str | None, Any] = {}  # noqa: RUF012  # the base class's table, emptied


_Loader.add_implicit_resolver(_PLAIN, re.compile(""), None)


def files_of(names: Sequence[str], *, recursive: bool) -> Iterator[Path]:
    """The files of a command line, folders opened: as kubectl, `.json`, `.yaml` and `.yml` in order of their names.

    Raises:
        UnreadableError: there is no such file, or a folder has none.
    """
    for name in names:
        path = Path(name)
        if path.is_dir():
            found = sorted(each for each in path.glob("**/*" if recursive else "*") if _is_manifest(each))
            if not found:
                raise UnreadableError(f"{name}: the folder has no {', '.join(SUFFIXES)} file")
            yield from found
        elif name.startswith(("http://", "https://")):
            raise UnreadableError(f"{name}: addresses are not read: fetch it, and give - to read standard input")
        else:
            yield path


def _is_manifest(path: Path) -> bool:
    return path.suffix in SUFFIXES and path.is_file()


def read_file(path: Path) -> list[Document]:
    """All objects of a file.

    Raises:
        UnreadableError: it can't be read, or is no YAML or JSON.
    """
    try:
        return read_bytes(str(path), path.read_bytes())
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror}") from error


def read_bytes(file: str, content: bytes) -> list[Document]:
    """All objects of a file's content.

    Raises:
        UnreadableError: it is no UTF-8 text, or no YAML or JSON.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableError(f"{file}: is no UTF-8 text: {error}") from error
    return read_text(file, text)


def read_text(file: str, text: str) -> list[Document]:
    """All objects of a text; empty documents are left out, members of a `List` stand for themselves.

    Raises:
        UnreadableError: it is no YAML or JSON, or a list of objects without a list.
    """
    if _YAML_BREAKS.search(text) and text.lstrip().startswith("{"):
        # Within a JSON text they are characters like others; kubectl, too, looks whether it is JSON first.
        found = _read_json(file, text)
        if found is not None:
            return [member for document in found for member in _members(document)]
    try:
        found = list(_read_yaml(file, text))
    except UnreadableError:
        # What JSON has and YAML has not: objects in a row, halves of characters.
        streamed = _read_json(file, text) if text.lstrip().startswith("{") else None
        if streamed is None:
            raise
        found = streamed
    return [member for document in found for member in _members(document)]


def _members(document: Document) -> Iterator[Document]:
    """The object, or those of a list. What a list of one kind (`IPAddressPoolList`) has is of that kind."""
    value = document.value
    if not isinstance(value, dict) or not str(value.get("kind", "")).endswith("List") or "items" not in value:
        yield from () if value is None else (document,)
        return
    kind = str(value["kind"]).removesuffix("List")
    told = {"apiVersion": value.get("apiVersion"), "kind": kind} if kind else {}
    items = [] if value["items"] is None else value["items"]
    if not isinstance(items, list):
        place = f"{document.file}:{document.line_of((*document.root, 'items')) or 1}"
        raise UnreadableError(f"{place}: items of {value['kind']} is no list")
    for position, item in enumerate(items):
        root = (*document.root, "items", position)
        whole = told | item if isinstance(item, dict) else item
        repeated = _within(document.repeated, root)
        yield from _members(Document(document.file, document.index, whole, root, document.lines, repeated))


def _within(paths: tuple[FieldPath, ...], root: FieldPath) -> tuple[FieldPath, ...]:
    return tuple(path for path in paths if path[: len(root)] == root)


def _read_json(file: str, text: str) -> list[Document] | None:
    """The objects of a JSON stream; None: it is none."""
    decoder = json.JSONDecoder(parse_float=lambda each: plain.number(float(each), each))
    found: list[Document] = []
    rest = text.lstrip()
    try:
        while rest:
            value, end = decoder.raw_decode(rest)
            found.append(Document(file, len(found) + 1, value))
            rest = rest[end:].lstrip()
    except (ValueError, RecursionError):
        return None
    return found


def _read_yaml(file: str, text: str) -> Iterator[Document]:
    loader = _Loader(text)
    index = 0
    try:
        while loader.check_node():
            index += 1
            reader = _Reader(file)
            value = reader.read(_node(loader), ())
            yield Document(file, index, value, (), reader.lines, tuple(reader.repeated))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise UnreadableError(f"{_place(file, mark)}: is no YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise UnreadableError(f"{file}: is no YAML: {' '.join(str(error).split())}") from error
    finally:
        loader.dispose()


def _node(loader: _Loader) -> yaml.Node:
    node = loader.get_node()
    assert node is not None, "asked for without a check"
    return node


class _Reader:
    """One document: nodes become JSON, and leave their lines and repeated keys behind."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: dict[FieldPath, int] = {}
        self.repeated: list[FieldPath] = []
        self._count = 0

    def read(self, node: yaml.Node, path: FieldPath) -> Any:
        """The value of a node, and of all that is in it."""
        self._count += 1
        if self._count > _MOST_VALUES:
            raise UnreadableError(f"{self._at(node)}: aliases make the document too large")
        if len(path) > _DEEPEST:
            raise UnreadableError(f"{self._at(node)}: more than {_DEEPEST} levels")
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._read_mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*path, position)) for position, item in enumerate(node.value)]
        return self._read_scalar(node)

    def _read_mapping(self, node: yaml.MappingNode, path: FieldPath) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _PLAIN and key_node.value == _MERGE:
                merged = self._merged(value_node, path) | merged
                continue
            key = self._key(key_node)
            if key in own:
                self.repeated.append((*path, key))
            self.lines[*path, key] = key_node.start_mark.line + 1
            own[key] = self.read(value_node, (*path, key))
        return merged | own

    def _merged(self, node: yaml.Node, path: FieldPath) -> dict[str, Any]:
        value = self.read(node, path)
        found: dict[str, Any] = {}
        for each in value if isinstance(value, list) else [value]:
            if not isinstance(each, dict):
                raise UnreadableError(f"{self._at(node)}: << wants a mapping, or a list of them")
            found = each | found
        return found

    def _key(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise UnreadableError(f"{self._at(node)}: a key is no text")
        key = self._read_scalar(node)
        return key if isinstance(key, str) else json.dumps(key)

    def _read_scalar(self, node: yaml.Node) -> plain.Scalar:
        """The value by its tag; what is quoted is text."""
        value: plain.Scalar = node.value if node.tag == _STR else plain.read(node.value)
        wanted = _TAGS.get(node.tag)
        if wanted is None or (not isinstance(value, wanted) and node.tag != _STR):
            raise UnreadableError(f"{self._at(node)}: {node.value!r} is not of the type that its tag {node.tag} says")
        if isinstance(value, float) and not math.isfinite(value):
            raise UnreadableError(f"{self._at(node)}: {node.value!r} is a number that JSON does not have")
        return value

    def _at(self, node: yaml.Node) -> str:
        return _place(self.file, node.start_mark)


def _place(file: str, mark: yaml.Mark | None) -> str:
    return f"{file}:{mark.line + 1}" if mark is not None else file
