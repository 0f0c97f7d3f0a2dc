"""GET /chatmessages/{yyyyMMddHH}: what an app has sent in one hour, as a file (agora.md).

There is no such file: the link that is told streams it out of the store, so that what is recalled never leaves.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from aiohttp import web

from gateway.domain.model import App, Ctype
from gateway.edge.download import send_chunks
from gateway.edge.facades.agora.asking import At
from gateway.edge.facades.agora.faults import BAD_REQUEST, FORBIDDEN, NOT_FOUND, Fault
from gateway.edge.facades.agora.history_lines import file_in, line_of
from gateway.edge.facades.agora.rates import Rate

READY_MS = 60_000
"""How long after its end an hour may be asked for: whatever was sent in it is committed by then."""

LINK_S = 30 * 60
"""How long a link is good."""

ACCESS_KEY_ID = "gateway"

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
_FORMAT, _HOUR_CHARS = "%Y%m%d%H", 10
_SECONDS_CHARS = 10
_FILE = ".gz"
_CHUNK_BYTES = 256 * 1024
_GZIP_BITS = 31
_FILED = frozenset({Ctype.IMAGE, Ctype.AUDIO, Ctype.VIDEO, Ctype.FILE})


async def history(at: At) -> web.StreamResponse | bytes:
    """GET /chatmessages/{hour}: the link to the hour's file; GET /chatmessages/{hour}.gz: the file, by such a link."""
    hour = at.given[0]
    if hour.endswith(_FILE):
        return await _file(at, hour.removesuffix(_FILE))
    await at.administrator()
    from_ms = _from_ms(at, hour)
    at.spend(Rate.HISTORY_FILES)
    if at.now() < from_ms + _HOUR_MS + READY_MS or not await at.core.records.any(
        at.app, from_ms, from_ms + _HOUR_MS
    ):
        told = f"Failed to find chat message history download url for appkey: {_appkey(at)}, time: {hour}"
        raise Fault(NOT_FOUND, "storage_object_not_found", told)
    expires_s = at.now() // 1000 + LINK_S
    signature = _signature(at.app, at.app.keys[at.app.signing_kid], hour, expires_s)
    query = f"Expires={expires_s}&OSSAccessKeyId={ACCESS_KEY_ID}&Signature={signature}"
    return at.told(data=[{"url": f"{at.around.uri}{_FILE}?{query}"}])


async def _file(at: At, hour: str) -> web.StreamResponse:
    """Stream an hour, whoever asks by a link that is good."""
    expires, signature = at.query.get("Expires", ""), at.query.get("Signature", "")
    expires_s = (
        int(expires) if expires.isascii() and expires.isdigit() and len(expires) <= _SECONDS_CHARS else 0
    )
    good = [
        hmac.compare_digest(_signature(at.app, key, hour, expires_s).encode(), signature.encode())
        for key in at.app.keys.values()
    ]
    if not any(good) or expires_s * 1000 <= at.now():
        raise Fault(FORBIDDEN, "forbidden_op", "the link is not good, or no longer")
    from_ms = _from_ms(at, hour)
    response = web.StreamResponse(
        headers={
            "Content-Type": "application/gzip",
            "Content-Disposition": f'attachment; filename="{hour}{_FILE}"',
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        }
    )
    with at.core.files.downloading(at.app.id):
        await send_chunks(at.request, response, _packed(at, from_ms), at.limits)
    return response


async def _packed(at: At, from_ms: int) -> AsyncIterator[bytes]:
    """The lines of an hour, as gzip: never more of them in memory than one chunk."""
    packing = zlib.compressobj(wbits=_GZIP_BITS)
    lines = bytearray()
    async for record in at.core.records.read(at.app, from_ms, from_ms + _HOUR_MS):
        message = record.message
        file_bytes = await at.core.files.size(at.app, file_in(message)) if message.ctype in _FILED else None
        lines += line_of(at.app, message, record.sender_name, record.target_name, file_bytes)
        if len(lines) >= _CHUNK_BYTES:
            # Beside the loop: so much takes some milliseconds to pack.
            yield await asyncio.to_thread(packing.compress, bytes(lines))
            lines.clear()
    yield packing.compress(bytes(lines)) + packing.flush()


def _from_ms(at: At, hour: str) -> int:
    """When an hour begins (UTC); 400 for what is none, and for one that retention has been over."""
    try:
        if not (hour.isascii() and hour.isdigit() and len(hour) == _HOUR_CHARS):
            raise ValueError
        from_ms = int(datetime.strptime(hour, _FORMAT).replace(tzinfo=UTC).timestamp() * 1000)
    except ValueError:
        raise _unstored(at, hour) from None
    days = at.settings.retention_days
    if from_ms < 0 or (days and from_ms + _HOUR_MS <= at.now() - days * _DAY_MS):
        raise _unstored(at, hour)
    return from_ms


def _unstored(at: At, hour: str) -> Fault:
    told = f"illegal arguments: appkey: {_appkey(at)}, time: {hour}, maybe chat message history is expired or unstored"
    return Fault(BAD_REQUEST, "illegal_argument", told)


def _appkey(at: At) -> str:
    return f"{at.around.org_name}#{at.around.app_name}"


def _signature(app: App, key: bytes, hour: str, expires_s: int) -> str:
    """Sign a link with a key of the app, which every node has: it opens this hour of this app and nothing else."""
    told = f"chatmessages\n{app.app_id}\n{hour}\n{expires_s}".encode()
    return base64.urlsafe_b64encode(hmac.digest(key, told, "sha256")).decode().rstrip("=")
