"""Where OpenAPI v2 and v3 differ in how they write the same thing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kubelab.objects import Json, Object

JSON: Final = "application/json"
_BODIES: Final = ("application/json", "application/yaml")


@dataclass(frozen=True, slots=True)
class Dialect:
    """One version of OpenAPI. `prefix` is where its documents keep definitions."""

    prefix: str
    v2: bool

    def reference(self, name: str, description: str = "") -> Object:
        """A reference to a definition; v3 allows nothing beside one."""
        reference: Object = {"$ref": self.prefix + name}
        if not description:
            return reference
        return {"description": description} | (reference if self.v2 else {"allOf": [reference]})

    def parameter(self, name: str, where: str, kind: str, description: str) -> Object:
        """A parameter of a query or path."""
        type_: Object = {"type": kind, "uniqueItems": True}
        parameter: Object = {"name": name, "in": where, "description": description}
        if where == "path":
            parameter["required"] = True
        return parameter | (type_ if self.v2 else {"schema": type_})

    def response(self, description: str, schema: Object | None) -> Object:
        """An answer, with the type of its body."""
        answer: Object = {"description": description}
        if schema is None:
            return answer
        return answer | ({"schema": schema} if self.v2 else {"content": self._content(_BODIES, schema)})

    def body(self, media_types: tuple[str, ...], schema: Object, *, required: bool) -> Object:
        """What an operation says of the body it wants: fields to be merged into it, without parameters in v2."""
        if self.v2:
            return {"consumes": list(media_types)}
        content: Object = {"content": self._content(media_types, schema)}
        return {"requestBody": content | ({"required": True} if required else {})}

    def body_parameters(self, schema: Object, *, required: bool) -> list[Json]:
        """The body as a parameter, which it is in v2."""
        if not self.v2:
            return []
        return [{"name": "body", "in": "body", "schema": schema} | ({"required": True} if required else {})]

    @staticmethod
    def _content(media_types: tuple[str, ...], schema: Object) -> Object:
        return {media_type: {"schema": schema} for media_type in media_types}


V2: Final = Dialect("#/definitions/", v2=True)
V3: Final = Dialect("#/components/schemas/", v2=False)
WRITTEN: Final = _BODIES
"""Media types of objects that clients write."""
