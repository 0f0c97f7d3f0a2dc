"""Files of messages (agora.md, POST /chatfiles and GET /chatfiles/{uuid}; the seed's sections on files)."""

from __future__ import annotations

from aiohttp import web

from gateway.core.files import FileOrder
from gateway.domain.files import Box
from gateway.edge.download import send_file
from gateway.edge.facades.agora.asking import At
from gateway.edge.facades.agora.faults import illegal
from gateway.edge.upload import Upload

SIDE_DEFAULT, SIDE_MIN, SIDE_MAX = 170, 16, 1_024
"""Pixels of a thumbnail's box."""

SECRET = "share-secret"  # noqa: S105 - the name of a header
THUMBNAIL = "thumbnail"

_OFF = frozenset({"", "false", "0"})


async def upload(at: At) -> bytes:
    """POST /chatfiles: keep the part `file` of a form."""
    principal = await at.caller()
    form = await Upload.begin(at.request, at.limits)
    if form is None:
        raise illegal("file", "it is required")

    def box() -> Box:
        return Box(_side(at, form, "thumbnail-width"), _side(at, form, "thumbnail-height"))

    order = FileOrder(
        name=form.name,
        type=form.type,
        restricted=at.request.headers.get("restrict-access", "").strip().lower() not in _OFF,
        box=box,
        uploader=0 if principal.admin_alone else principal.user.id,
    )
    kept = await at.core.files.upload(at.app, order, form.chunks())
    return at.told(entities=[{"uuid": kept.file.uuid, "type": "chatfile", SECRET: kept.secret}])


def _side(at: At, form: Upload, name: str) -> int:
    told = (at.request.headers.get(name) or form.fields.get(name) or "").strip()
    if not told:
        return SIDE_DEFAULT
    side = int(told) if told.isascii() and told.isdigit() and len(told) <= len(str(SIDE_MAX)) else 0
    if not SIDE_MIN <= side <= SIDE_MAX:
        raise illegal(name, f"it must be {SIDE_MIN} to {SIDE_MAX}")
    return side


async def download(at: At) -> web.StreamResponse:
    """GET /chatfiles/{uuid}: a file, or its thumbnail where the header `thumbnail` is there, whatever it says."""
    headers = at.request.headers
    if not at.settings.open_downloads:
        await at.caller()
    shown = await at.core.files.find(at.app, at.given[0], headers.get(SECRET) or at.query.get(SECRET))
    if at.settings.open_downloads and shown.file.restricted:
        await at.caller()
    if THUMBNAIL in headers or THUMBNAIL in at.query:
        shown = await at.core.files.thumbnail(shown)
    return await send_file(at.request, at.core.files, shown, at.limits)
