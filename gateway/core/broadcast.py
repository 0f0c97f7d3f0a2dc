"""Broadcasts: a message from an app's `system` to all of its users (lanying.md, broadcast)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import msgspec

from gateway.core.jobs import Jobs
from gateway.core.principal import Principal
from gateway.domain import rules
from gateway.domain.drafts import BroadcastText, JobDraft, JobKind
from gateway.domain.errors import Kind, Problem, bad
from gateway.domain.limits import Limits

_encoder = msgspec.json.Encoder()


class Broadcasts:
    """Starts broadcasts for an app's administrator."""

    def __init__(self, jobs: Jobs, limits: Limits, clock_ms: Callable[[], int]) -> None:
        self._jobs = jobs
        self._limits = limits
        self._now = clock_ms

    async def send(self, principal: Principal, text: BroadcastText, transaction_id: int = 0) -> int:
        """Commit to a message to every user there is; return how many have it when the call is answered.

        The rest get it, each exactly once, whatever happens to this process. Who asks again with the same
        `transaction_id` (0: none) is told how far it has got. Raises `Problem`.
        """
        if not principal.admin:
            raise Problem(Kind.FORBIDDEN, "only an admin token may broadcast")
        if not principal.admin_alone:
            raise bad("user_id" if principal.as_user else "group_id", "this header is not for broadcasts")
        rules.check_body(text.ctype, text.content, text.attachment, text.ext, text.config, self._limits)
        bytes_max = principal.app.limits.message_bytes_max
        if bytes_max:
            rules.check_together(text.content, text.attachment, text.ext, text.config, bytes_max)
        data = _encoder.encode(text)
        job = await self._jobs.start(
            JobDraft(
                app=principal.app.id,
                kind=JobKind.BROADCAST,
                at=self._now(),
                data=data.decode(),
                key=str(transaction_id) if transaction_id else "",
                # Members that have their default are left out of it: one added later changes no stored digest.
                digest=hashlib.blake2b(data, digest_size=16).hexdigest() if transaction_id else "",
            )
        )
        return (await self._jobs.follow(job, self._limits.broadcast_wait_ms)).done
