"""GET: an object, or a list of them."""

from __future__ import annotations

from kubelab.apiserver import answers, listing, tables
from kubelab.apiserver.errors import not_found
from kubelab.apiserver.handlers import converting
from kubelab.apiserver.handlers.storing import answer
from kubelab.apiserver.request import Response
from kubelab.apiserver.state import Call
from kubelab.apiserver.storage import Stored


def existing(call: Call) -> Stored:
    """The object that the path names.

    Raises:
        ApiError: 404.
    """
    found = call.find()
    if found is None:
        raise not_found(call.resource.group_resource, call.name)
    return found


async def get(call: Call) -> Response:
    """One object.

    Raises:
        ApiError: 404; 500, it can't be converted.
    """
    text = call.request.query.get("resourceVersion")
    current = call.state.storage.revision
    if text and (revision := listing.parse_revision(text)) > current:
        raise listing.too_large(revision, current)
    return answer(call, await converting.existing(call))


async def collection(call: Call) -> Response:
    """A list.

    Raises:
        ApiError: 400, 410, 422 or 504; 500, an object can't be converted.
    """
    page = listing.page(call)
    items = await converting.shown(call, page.items)
    view = tables.view(call.resource, call.request, call.form, call.state.now())
    body = answers.list_json(call.resource, items, page.metadata, call.form, view)
    return answers.respond(200, body, call.form, call.warnings)
