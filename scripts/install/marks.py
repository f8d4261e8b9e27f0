"""YAML with template actions in it: values and lines of a document become what Helm fills in."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from scripts.olm.bundle import written

_TOKEN: Final = re.compile(r"'?@(\d+)@'?")
_LINE: Final = re.compile(r"^( *)(?:- )?'?@(\d+)@'?: null$")


@dataclass(slots=True)
class Marks:
    """Stands in for template actions while a document is an object; `text` puts them in."""

    _texts: list[str] = field(default_factory=list)

    def value(self, action: str) -> str:
        """A scalar: `{{ ... }}` stands where the value would."""
        return self._mark(action)

    def lines(self, text: str) -> dict[str, None]:
        """A member of a mapping or list whose line becomes these lines, indented as it is; so is their `nindent +N`."""
        return {self._mark(text): None}

    def text(self, document: Any) -> str:
        """The template of a document. Braces that were in it before stay braces to the reader of the result."""
        made = []
        for line in written(document).replace("{{", '{{ "{{" }}').splitlines():
            found = _LINE.match(line)
            if found:
                indent, text = found[1], self._texts[int(found[2])]
                made += [f"{indent}{_nested(each, len(indent))}" for each in text.splitlines()]
            else:
                made.append(_TOKEN.sub(lambda each: self._texts[int(each[1])], line))
        return "\n".join(made) + "\n"

    def _mark(self, text: str) -> str:
        self._texts.append(text)
        return f"@{len(self._texts) - 1}@"


def _nested(line: str, indent: int) -> str:
    """`nindent +2` in a line is meant from where the line stands."""
    return re.sub(r"nindent \+(\d+)", lambda each: f"nindent {indent + int(each[1])}", line)
