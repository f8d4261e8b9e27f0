"""`matchConditions` of webhooks (KEP-3716): CEL about the request, asked after rules and selectors have matched.

The authorizer that conditions may ask in a real cluster is left out: a condition that does can't be told.
"""

from __future__ import annotations

from typing import Any

from kubelab.apiserver.cel import programs
from kubelab.apiserver.errors import forbidden
from kubelab.apiserver.webhooks.attributes import Attributes
from kubelab.apiserver.webhooks.hooks import Hook
from kubelab.apiserver.webhooks.matching import Invocation
from kubelab.apiserver.webhooks.reviews import review
from kubelab.objects import GroupResource


def hold(hook: Hook, asked: Invocation, attributes: Attributes) -> bool:
    """Whether all conditions of a webhook hold: one that does not settles it, whatever is wrong with the others.

    Raises:
        ApiError: 403, a condition can't be told and the webhook must not be left out.
    """
    request = review(asked, attributes, "", "v1")["request"]
    variables: dict[str, Any] = {
        "object": attributes.obj,
        "oldObject": attributes.old,
        "request": {name: part for name, part in request.items() if name not in {"uid", "object", "oldObject"}},
    }
    errors: list[str] = []
    for condition in hook.conditions:
        try:
            if programs.program(condition.expression).ask(variables) is not True:
                return False
        except (programs.CompileError, programs.EvaluationError) as error:
            errors.append(f"expression '{condition.expression}' resulted in error: {error}")
    if not errors:
        return True
    if hook.ignores_failure:
        return False
    why = errors[0] if len(errors) == 1 else f"[{', '.join(errors)}]"
    raise forbidden(GroupResource(attributes.resource.group, attributes.resource.resource), attributes.name, why)
