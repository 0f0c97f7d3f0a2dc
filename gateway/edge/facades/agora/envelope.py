"""The dialect's answers: what surrounds `data` and `entities`, and what surrounds an error (agora.md, Everywhere)."""

from __future__ import annotations

import msgspec
from aiohttp import web

from gateway.edge.answering import HEADERS
from gateway.edge.facades.agora.faults import Fault

_encoder = msgspec.json.Encoder()


class Around(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer says of its call: its verb in lower case, the app, the path inside it, and the whole URL."""

    action: str
    application: str
    org_name: str
    app_name: str
    path: str
    uri: str


class Success(msgspec.Struct, omit_defaults=True, kw_only=True, rename="camel"):
    """An answer; members that are left out are not there. `entities` may be `[]` beside `data`."""

    action: str
    application: str
    application_name: str
    organization: str
    path: str
    uri: str
    timestamp: int
    duration: int = -1
    data: object = msgspec.UNSET
    entities: object = msgspec.UNSET
    count: int | msgspec.UnsetType = msgspec.UNSET
    cursor: str | msgspec.UnsetType = msgspec.UNSET
    properties: object = msgspec.UNSET
    params: object = msgspec.UNSET


class _Error(msgspec.Struct, omit_defaults=True):
    error: str
    exception: str
    timestamp: int
    error_description: str
    duration: int = -1
    error_code: int = 0


def success(around: Around, now_ms: int, duration_ms: int, members: dict[str, object]) -> bytes:
    """The body of an answer; `members` are those of `Success` that this one has beside the ones of every answer."""
    told = Success(
        action=around.action,
        application=around.application,
        application_name=around.app_name,
        organization=around.org_name,
        path=around.path,
        uri=around.uri,
        timestamp=now_ms,
        duration=duration_ms,
    )
    for name, value in members.items():
        setattr(told, name, value)
    return _encoder.encode(told)


def refused(fault: Fault, now_ms: int, duration_ms: int) -> web.Response:
    """The answer to a call that was refused."""
    body = _encoder.encode(
        _Error(fault.error, fault.exception, now_ms, fault.description, duration_ms, fault.code)
    )
    response = web.Response(status=fault.status, body=body, headers=HEADERS)
    if fault.retry_after_s:
        response.headers["Retry-After"] = str(fault.retry_after_s)
    return response
