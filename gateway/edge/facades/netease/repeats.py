"""What makes two requests the same one, sent again (netease.md, Repeats)."""

from __future__ import annotations

import hashlib
import secrets

import msgspec

from gateway.domain.errors import Kind, Problem
from gateway.edge.facades.netease.asking import TRACE, At
from gateway.edge.facades.netease.faults import CLIENT_ID_USED, Fault, illegal
from gateway.edge.facades.netease.wanted import Asked

_KEY_BYTES_MAX = 64
_BY_CLIENT_ID, _BY_TRACE, _DIGESTED = "c", "t", "h"

_encoder = msgspec.json.Encoder()


class Repeat(msgspec.Struct, frozen=True):
    """The key of a send, empty where it has none, and what tells whether another one by that key is the same."""

    key: str = ""
    digest: str = ""

    def refusal(self, problem: Problem) -> Fault | Problem:
        """Say a problem of this send as its client has to hear it: its key may have been used for another one."""
        if problem.kind is not Kind.TRANSACTION_CONFLICT:
            return problem
        if self.key.startswith(_BY_CLIENT_ID):
            return Fault(CLIENT_ID_USED, "message.message_client_id: it was used for another message")
        return illegal(TRACE, "it was used for another message")


def repeat_of(at: At, client_id: str, asked: Asked, *parties: object) -> Repeat:
    """What makes a repeat of a send: the id that its client gave the message, else the trace id of the request.

    One by the same client's id is a repeat if it has the same trace id, too; without any it is another one.
    """
    if client_id:
        key, trace = _key(_BY_CLIENT_ID, client_id), at.trace_id or secrets.token_hex()
    elif at.trace_id:
        key, trace = _key(_BY_TRACE, at.trace_id), at.trace_id
    else:
        return Repeat()
    # What it tells of a person for filters is kept nowhere, not even digested.
    told = msgspec.structs.replace(asked, antispam_config=None)
    digest = hashlib.blake2b(_encoder.encode((trace, parties, told)), digest_size=16)
    return Repeat(key, digest.hexdigest())


def _key(kind: str, text: str) -> str:
    told = text.encode()
    if len(told) <= _KEY_BYTES_MAX:
        return kind + text
    # Longer than any that is not digested.
    return kind + _DIGESTED + hashlib.sha256(told).hexdigest()
