"""The files that an imported message names, brought here with it (agora.md, `need_download`)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from gateway.core.files import Uploaded
from gateway.domain.files import Box
from gateway.domain.model import User
from gateway.edge.facades.agora.asking import At
from gateway.edge.facades.agora.chatfiles import SIDE_DEFAULT
from gateway.edge.facades.agora.members import Members

_NAMED = (("url", "secret"), ("thumb", "thumb_secret"))
"""The members of a body that name a file, each with that of its secret."""

_encode = msgspec.json.Encoder().encode


class Brought:
    """A call whose files have come: `asked` is as it was sent, or with a body that names files of ours."""

    def __init__(self, at: At, asked: Members) -> None:
        self._at = at
        self.asked = asked
        self.files: list[Uploaded] = []

    async def fetch(self) -> None:
        """Fetch what the body names; raises what `Files.fetch` raises."""
        at, body = self._at, self.asked.object("body")
        assert body is not None, "it was looked for"
        told = {name: body.given(name) for name in body}
        place = at.around.uri.removesuffix(at.around.path)
        for member, secret in _NAMED:
            if url := body.text(member):
                found = await at.core.files.fetch(at.app, url, Box(SIDE_DEFAULT, SIDE_DEFAULT))
                self.files.append(found)
                told[member] = msgspec.Raw(_encode(f"{place}/chatfiles/{found.file.uuid}"))
                told[secret] = msgspec.Raw(_encode(found.secret))
        self.asked = self.asked.replaced("body", _encode(told))

    async def keep(self, sender: User | None) -> None:
        """Keep the files, as the sender's; raises what `Files.keep` raises."""
        for found in self.files:
            await self._at.core.files.keep(found.file, sender.id if sender else 0)


@asynccontextmanager
async def with_files(at: At, asked: Members) -> AsyncIterator[Brought]:
    """Yield the call with the files that it wants with `need_download`, for `keep` to be called.

    They are taken back where what is done with it fails.
    """
    brought = Brought(at, asked)
    try:
        if asked.flag("need_download"):
            await brought.fetch()
        yield brought
    except BaseException:
        for found in brought.files:
            await at.core.files.discard(found.file)
        raise
