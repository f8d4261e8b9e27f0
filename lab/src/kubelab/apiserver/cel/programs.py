"""Compile CEL with the library, and ask a compiled rule; whatever goes wrong comes back as one sentence.

The library is loaded when the first rule is compiled.
"""

from __future__ import annotations

import functools
import importlib.machinery
import importlib.util
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, cast

from kubelab.apiserver.cel import functions, words

MAX_WORDS: Final = 4096
"""Words of the longest rule that is compiled: the library's parser and evaluator recurse, and would end the process."""
MAX_DEPTH: Final = 40
"""Brackets within brackets, for the same reason."""
_SYNTAX: Final = re.compile(r"ERROR: .*", re.DOTALL)
_OF_FUNCTION: Final = re.compile(
    r"Function '(?P<name>\w+)' error: (?:Python function call failed: \w+: )?(?P<text>.*?)"
    r"(?:\. Check function arguments and their types\.)?",
    re.DOTALL,
)
_NO_OVERLOAD: Final = "no such overload"


class CompileError(Exception):
    """A rule is no CEL. The text is the library's: place, reason, line and mark."""


class EvaluationError(Exception):
    """A rule could not be answered for a value. The text is the reason as CEL words it."""


class Compiled(Protocol):
    """The library's compiled expression."""

    def variables(self) -> list[str]:
        """Names it mentions."""
        ...

    def functions(self) -> list[str]:
        """Functions it calls."""
        ...

    def execute(self, context: Any) -> Any:
        """Its value."""
        ...


@functools.cache
def library() -> Any:
    """The library's extension module.

    Its package imports a command line with everything that needs (a third of a second): the extension alone is loaded.

    Raises:
        ImportError: the library is not installed.
    """
    package = importlib.util.find_spec("cel")
    places = None if package is None else package.submodule_search_locations
    spec = None if places is None else importlib.machinery.PathFinder.find_spec("cel.cel", list(places))
    if spec is None or spec.loader is None:
        raise ImportError("the library common-expression-language is not installed")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    logging.getLogger("cel").setLevel(logging.CRITICAL)  # it logs what it also raises
    return module


@dataclass(slots=True, eq=False)
class Program:
    """One compiled rule or message."""

    source: str
    compiled: Compiled
    context: Any
    names: frozenset[str] = field(default_factory=frozenset)
    """Variables it mentions, those of macros among them."""

    def ask(self, variables: Mapping[str, Any]) -> Any:
        """Its value for these variables.

        Raises:
            EvaluationError: it has none.
        """
        try:
            for name, value in variables.items():
                self.context.add_variable(name, value)
            return self.compiled.execute(self.context)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # the library's panics are no Exceptions
            raise EvaluationError(reason(error)) from error


@functools.lru_cache(maxsize=2048)
def program(source: str) -> Program:
    """A compiled rule; the same one for the same text.

    Raises:
        CompileError: the text is no CEL.
        ImportError: the library is not installed.
    """
    cut = words.cut(source)
    _check_size(cut)
    if not words.has_optional_syntax(cut):
        _compiled(source)  # so that errors show the rule as it was written
    compiled = _compiled(words.rewritten(cut))
    used = functions.table(library().OptionalValue)
    wanted = {name: used[name] for name in compiled.functions() if name in used}
    context = library().Context(functions=wanted)
    return Program(source, compiled, context, frozenset(compiled.variables()))


def _check_size(cut: list[words.Word]) -> None:
    if len(cut) > MAX_WORDS:
        raise CompileError(f"ERROR: <input>:-1:0: expression has {len(cut)} words, more than {MAX_WORDS}")
    depth = deepest = 0
    for word in cut:
        if word.kind == "sign":
            depth += (word.text in {"(", "[", "[?", "{"}) - (word.text in {")", "]", "}"})
            deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        raise CompileError(f"ERROR: <input>:-1:0: expression recursion limit exceeded: {MAX_DEPTH}")


def _compiled(source: str) -> Compiled:
    try:
        return cast("Compiled", library().compile(source))
    except (KeyboardInterrupt, SystemExit, ImportError):
        raise
    except BaseException as error:  # the library's panics are no Exceptions
        found = _SYNTAX.search(str(error))
        text = found[0] if found else f"ERROR: <input>:1:1: {error}"
        raise CompileError(text.replace("\n| ", "\n | ")) from error


def reason(error: BaseException) -> str:
    """An error of the library in the words of the CEL that kube-apiserver runs."""
    text = str(error)
    if isinstance(error, KeyError):
        return f"no such key: {error.args[0] if error.args else ''}"
    if isinstance(error, IndexError):
        return text
    if isinstance(error, ZeroDivisionError):
        return "modulus by zero" if text.startswith("modulo") else "division by zero"
    if isinstance(error, OverflowError):
        return "integer overflow"
    if found := _OF_FUNCTION.fullmatch(text):
        return found["text"]
    return _NO_OVERLOAD if isinstance(error, TypeError) or text.startswith("Undefined") else text
