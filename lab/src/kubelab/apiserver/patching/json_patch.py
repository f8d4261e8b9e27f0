"""JSON patch (RFC 6902)."""

from __future__ import annotations

from typing import Final

import jsonpatch
import jsonpointer

from kubelab.apiserver.errors import ApiError
from kubelab.apiserver.patching import refusals
from kubelab.objects import Json, Object

_OPERATION: Final = "handlers.jsonPatchOp"


def apply(obj: Object, ops: Json) -> Object:
    """The object after all operations; none is done if one can't be.

    Raises:
        ApiError: 400 if `ops` is no list of objects, 413 if it is too long, 422 if an operation fails (a path is
            missing, a test is not met) or the result is no object.
    """
    if ops is None:
        return obj
    _check(ops)
    try:
        patched = jsonpatch.apply_patch(obj, [_completed(op) for op in ops])
    except (
        jsonpatch.JsonPatchException,
        jsonpointer.JsonPointerException,
        TypeError,
        ValueError,
        LookupError,
    ) as error:
        raise refusals.unprocessable() from error
    if not isinstance(patched, dict):
        raise refusals.unprocessable()
    return patched


def _check(ops: Json) -> None:
    if not isinstance(ops, list):
        raise refusals.undecodable(ops, "[]" + _OPERATION)
    for op in ops:
        if not isinstance(op, dict):
            raise refusals.undecodable(op, _OPERATION)
        for name in ("op", "path", "from"):
            if not isinstance(op.get(name), str | None):
                raise _mistyped(op[name], name)
    if len(ops) > refusals.MAX_OPERATIONS:
        raise refusals.too_many_operations(len(ops))


def _mistyped(value: Json, name: str) -> ApiError:
    where = f"Go struct field jsonPatchOp.{name} of type string"
    kind = refusals.json_type(value)
    return ApiError(400, "BadRequest", f"error decoding patch: json: cannot unmarshal {kind} into {where}")


def _completed(op: Object) -> Object:
    """An operation that needs a value and has none means null."""
    return {"value": None, **op} if op.get("op") in {"add", "replace", "test"} else op
