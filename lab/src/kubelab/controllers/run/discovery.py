"""What resources the API server serves, also those that custom resource definitions add."""

from __future__ import annotations

from dataclasses import dataclass, field

from kubelab.apiclient import ApiClient, ApiFailure, Resource
from kubelab.objects import Object


@dataclass(frozen=True, slots=True)
class Served:
    """One resource, its kind and what can be done with it."""

    resource: Resource
    kind: str
    verbs: frozenset[str]


@dataclass(slots=True)
class Discovery:
    """The last known answer; `errors` are the group versions that could not be asked."""

    client: ApiClient
    served: list[Served] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    async def refresh(self) -> None:
        """Ask again.

        Raises:
            ApiFailure: the list of groups itself could not be had; the last answer stays.
        """
        versions = [str(version) for version in (await self._ask("/api")).get("versions") or []]
        found: list[Served] = []
        errors: list[str] = []
        paths = [("", version, f"/api/{version}") for version in versions]
        for group in (await self._ask("/apis")).get("groups") or []:
            paths += [
                (str(group["name"]), str(entry["version"]), f"/apis/{entry['groupVersion']}")
                for entry in _preferred_first(group)
            ]
        for group_name, version, path in paths:
            try:
                answer = await self._ask(path)
            except ApiFailure as failure:
                errors.append(f"{path.removeprefix('/apis/')}: {failure.message}")
                continue
            found += [
                _served(group_name, version, entry) for entry in answer.get("resources") or [] if _is_whole(entry)
            ]
        self.served, self.errors = found, errors

    async def _ask(self, path: str) -> Object:
        answer = await self.client.request("GET", path)
        return answer if isinstance(answer, dict) else {}

    def of_kind(self, api_version: str, kind: str) -> Served | None:
        """The resource of a kind, as owner references name it."""
        return next((s for s in self.served if s.kind == kind and s.resource.api_version == api_version), None)

    def preferred(self, *verbs: str) -> list[Served]:
        """Every resource with these verbs, in one version of its group each."""
        chosen: dict[tuple[str, str], Served] = {}
        for served in self.served:
            if served.verbs.issuperset(verbs):
                chosen.setdefault((served.resource.group, served.resource.plural), served)
        return list(chosen.values())


def _preferred_first(group: Object) -> list[Object]:
    preferred = (group.get("preferredVersion") or {}).get("version")
    return sorted(group.get("versions") or [], key=lambda entry: bool(entry["version"] != preferred))


def _is_whole(entry: Object) -> bool:
    return "/" not in str(entry["name"])


def _served(group: str, version: str, entry: Object) -> Served:
    resource = Resource(group, version, str(entry["name"]), bool(entry.get("namespaced")))
    return Served(resource, str(entry["kind"]), frozenset(entry.get("verbs") or []))
