"""ValidatingWebhookConfiguration and MutatingWebhookConfiguration: defaults and rules."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from kubelab.apiserver.builtin import fields, names
from kubelab.apiserver.builtin.fields import entries, items
from kubelab.apiserver.builtin.kind import Kind, set_default
from kubelab.apiserver.builtin.selectors import selector_errors
from kubelab.apiserver.cel import plans
from kubelab.apiserver.errors import FieldError
from kubelab.apiserver.resources import Context
from kubelab.objects import Object

_OPERATIONS: Final = frozenset({"CREATE", "UPDATE", "DELETE", "CONNECT", "*"})
_SCOPES: Final = frozenset({"Cluster", "Namespaced", "*"})
_SIDE_EFFECTS: Final = frozenset({"None", "NoneOnDryRun"})
_FAILURE: Final = frozenset({"Fail", "Ignore"})
_MATCH: Final = frozenset({"Exact", "Equivalent"})
_REINVOCATION: Final = frozenset({"Never", "IfNeeded"})
_REVIEWS: Final = frozenset({"v1", "v1beta1"})
_LONGEST_TIMEOUT_S: Final = 30
_MOST_CONDITIONS: Final = 64
_KNOWN_TO_CONDITIONS: Final = ("object", "oldObject", "request", "authorizer")
_SEGMENTS: Final = 3


class WebhookConfigurationStrategy(Kind):
    """Either kind of configuration (admissionregistration.k8s.io/v1)."""

    has_generation = True

    def __init__(self, *, mutating: bool) -> None:
        self._mutating = mutating

    def default(self, obj: Object) -> None:
        """A webhook fails closed, sees everything of what it names, and has ten seconds."""
        for hook in items(obj.get("webhooks")):
            for field, value in (("failurePolicy", "Fail"), ("matchPolicy", "Equivalent"), ("timeoutSeconds", 10)):
                set_default(hook, field, value)
            set_default(hook, "namespaceSelector", {})
            set_default(hook, "objectSelector", {})
            if self._mutating:
                set_default(hook, "reinvocationPolicy", "Never")
            if not hook.get("rules"):
                hook.pop("rules", None)
            for rule in items(hook.get("rules")):
                set_default(rule, "scope", "*")
            service = entries(hook.get("clientConfig")).get("service")
            if service is not None:
                set_default(service, "port", 443)

    def rules(self, obj: Object, context: Context) -> list[FieldError]:  # noqa: ARG002  # a protocol's arguments
        """Names are unique; each webhook can be called and knows when."""
        errors: list[FieldError] = []
        seen: set[str] = set()
        for number, hook in enumerate(items(obj.get("webhooks"))):
            path = f"webhooks[{number}]"
            name = hook.get("name") or ""
            errors += _webhook_errors(hook, path)
            if name in seen:
                errors.append(fields.duplicate(f"{path}.name", name))
            seen.add(name)
        return errors


def _webhook_errors(hook: Object, path: str) -> list[FieldError]:
    errors = _name_errors(hook.get("name") or "", f"{path}.name")
    for number, rule in enumerate(items(hook.get("rules"))):
        errors += _rule_errors(rule, f"{path}.rules[{number}]")
    for field, values in (
        ("failurePolicy", _FAILURE),
        ("matchPolicy", _MATCH),
        ("sideEffects", _SIDE_EFFECTS),
        ("reinvocationPolicy", _REINVOCATION),
    ):
        value = hook.get(field)
        if field == "sideEffects" and value is None:
            supported = ", ".join(sorted(_SIDE_EFFECTS))
            errors.append(fields.required(f"{path}.sideEffects", f"must specify one of {supported}"))
        elif value is not None and value not in values:
            errors.append(fields.unsupported(f"{path}.{field}", value, values))
    timeout = hook.get("timeoutSeconds", 10)
    if not 1 <= timeout <= _LONGEST_TIMEOUT_S:
        refused = "the timeout value must be between 1 and 30 seconds"
        errors.append(fields.invalid(f"{path}.timeoutSeconds", timeout, refused))
    for field in ("namespaceSelector", "objectSelector"):
        errors += selector_errors(hook.get(field), f"{path}.{field}")
    errors += client_errors(entries(hook.get("clientConfig")), f"{path}.clientConfig")
    errors += _condition_errors(items(hook.get("matchConditions")), f"{path}.matchConditions")
    return [*errors, *_version_errors(hook, f"{path}.admissionReviewVersions")]


def _name_errors(name: str, path: str) -> list[FieldError]:
    if not name:
        return [fields.required(path)]
    errors = names.syntax_errors(path, name, names.dns_subdomain)
    if not errors and len(name.split(".")) < _SEGMENTS:
        errors.append(fields.invalid(path, name, "should be a domain with at least three segments separated by dots"))
    return errors


def _rule_errors(rule: Object, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for number, operation in enumerate(items(rule.get("operations"))):
        if operation not in _OPERATIONS:
            errors.append(fields.unsupported(f"{path}.operations[{number}]", operation, _OPERATIONS))
    for field in ("operations", "apiGroups", "apiVersions", "resources"):
        values = items(rule.get(field))
        if not values:
            errors.append(fields.required(f"{path}.{field}"))
        elif "*" in values and len(values) > 1 and field != "resources":
            refused = "if '*' is present, must not specify other " + _PLURALS[field]
            errors.append(fields.invalid(f"{path}.{field}", values, refused))
    if rule.get("scope") not in _SCOPES:
        errors.append(fields.unsupported(f"{path}.scope", rule.get("scope"), _SCOPES))
    return errors


_PLURALS: Final = {"apiGroups": "API groups", "apiVersions": "API versions", "operations": "operations"}


def client_errors(config: Object, path: str) -> list[FieldError]:
    """Errors of how to reach a webhook: by an address or by a Service, not by both."""
    url, service = config.get("url"), config.get("service")
    if url is not None and service is None:
        return _url_errors(url, f"{path}.url")
    if service is not None and url is None:
        return _service_errors(service, f"{path}.service")
    return [fields.required(path, "exactly one of url or service is required")]


def _url_errors(url: str, path: str) -> list[FieldError]:
    example = "; desired format: https://host[/path]"
    parts = urlsplit(url)
    errors: list[FieldError] = []
    if parts.scheme != "https":
        errors.append(fields.invalid(path, parts.scheme, "'https' is the only allowed URL scheme" + example))
    if not parts.netloc:
        errors.append(fields.invalid(path, parts.netloc, "host must be specified" + example))
    if parts.username is not None:
        errors.append(fields.invalid(path, parts.username, "user information is not permitted in the URL"))
    if parts.fragment:
        errors.append(fields.invalid(path, parts.fragment, "fragments are not permitted in the URL"))
    if parts.query:
        errors.append(fields.invalid(path, parts.query, "query parameters are not permitted in the URL"))
    return errors


def _service_errors(service: Object, path: str) -> list[FieldError]:
    errors = [
        fields.required(f"{path}.{field}", f"service {field} is required")
        for field in ("name", "namespace")
        if not service.get(field)
    ]
    if names.port_number(service.get("port")):
        refused = "port is not valid: must be between 1 and 65535, inclusive"
        errors.append(fields.invalid(f"{path}.port", service.get("port"), refused))
    where = service.get("path")
    if where is not None and not where.startswith("/"):
        errors.append(fields.invalid(f"{path}.path", where, "must start with a '/'"))
    return errors


def _condition_errors(conditions: list[Object], path: str) -> list[FieldError]:
    if len(conditions) > _MOST_CONDITIONS:
        return [fields.too_many(path, len(conditions), _MOST_CONDITIONS)]
    errors: list[FieldError] = []
    seen: set[str] = set()
    for number, condition in enumerate(conditions):
        at, expression, name = f"{path}[{number}]", condition.get("expression") or "", condition.get("name") or ""
        if not expression.strip():
            errors.append(fields.required(f"{at}.expression"))
        elif wrong := _compile_error(expression):
            errors.append(fields.invalid(f"{at}.expression", expression, f"compilation failed: {wrong}"))
        if not name:
            errors.append(fields.required(f"{at}.name"))
        else:
            errors += names.syntax_errors(f"{at}.name", name, names.qualified_name)
        if name in seen:
            errors.append(fields.duplicate(f"{at}.name", name))
        seen.add(name)
    return errors


def _compile_error(expression: str) -> str:
    """Why a condition does not compile; empty if it does, and where nothing compiles conditions."""
    try:
        return plans.compile_error(expression, dict.fromkeys(_KNOWN_TO_CONDITIONS))
    except ImportError:
        return ""


def _version_errors(hook: Object, path: str) -> list[FieldError]:
    versions = items(hook.get("admissionReviewVersions"))
    supported = ", ".join(sorted(_REVIEWS))
    if not versions:
        return [fields.required(path, f"must specify one of {supported}")]
    errors = [
        fields.invalid(f"{path}[{number}]", version, "duplicate version")
        for number, version in enumerate(versions)
        if version in versions[:number]
    ]
    if not _REVIEWS & set(versions):
        errors.append(fields.invalid(path, versions, f"must include at least one of {supported}"))
    return errors
