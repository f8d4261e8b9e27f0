"""An operator in a few lines, by kopf: each Greeting says hello to whom it names."""

from typing import Any

import kopf


@kopf.on.create("example.org", "v1", "greetings")
@kopf.on.update("example.org", "v1", "greetings")
async def greet(spec: kopf.Spec, patch: kopf.Patch, **_: Any) -> None:
    """Answer in the status."""
    patch.status["text"] = f"Hello, {spec['to']}!"
