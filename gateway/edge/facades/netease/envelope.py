"""The dialect's answers: a code, a sentence and the data; HTTP says 200 whatever they say (netease.md, Envelope)."""

from __future__ import annotations

import msgspec
from aiohttp import web

from gateway.edge.answering import HEADERS
from gateway.edge.facades.netease.faults import SUCCESS, Fault

_encoder = msgspec.json.Encoder()
_NOTHING: dict[str, object] = {}


class _Answer(msgspec.Struct):
    code: int
    msg: str
    data: object


def succeeded(data: object) -> web.Response:
    """The answer to a call that was done."""
    return web.Response(body=_encoder.encode(_Answer(SUCCESS, "success", data)), headers=HEADERS)


def refused(fault: Fault) -> web.Response:
    """The answer to a call that was refused; what is refused because it is so already is a success."""
    if fault.code == SUCCESS:
        return succeeded(_NOTHING)
    # A sentence may quote what was sent, and that need not be text.
    sentence = fault.sentence.encode(errors="replace").decode()
    response = web.Response(body=_encoder.encode(_Answer(fault.code, sentence, _NOTHING)), headers=HEADERS)
    if fault.retry_after_s:
        response.headers["Retry-After"] = str(fault.retry_after_s)
    return response
