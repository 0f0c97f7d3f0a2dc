"""The files that an imported message names, brought here with it (agora.md, `need_download`)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from gateway.domain.files import Box, File
from gateway.domain.model import User
from gateway.edge.facades.agora.asking import At
from gateway.edge.facades.agora.chatfiles import SIDE_DEFAULT
from gateway.edge.facades.agora.members import Members

_NAMED = (("url", "secret"), ("thumb", "thumb_secret"))
"""The members of a body that name a file, each with that of its secret."""

_encode = msgspec.json.Encoder().encode


@asynccontextmanager
async def with_files(at: At, asked: Members, sender: User | None) -> AsyncIterator[Members]:
    """Yield the call as it was sent, or with `need_download` such that its body names files of ours.

    They are taken back where what is done with it fails. Raises what `Files.fetch` raises.
    """
    if not asked.flag("need_download"):
        yield asked
        return
    kept: list[File] = []
    try:
        yield await _fetched(at, asked, sender, kept)
    except BaseException:
        for file in kept:
            await at.core.files.discard(file)
        raise


async def _fetched(at: At, asked: Members, sender: User | None, kept: list[File]) -> Members:
    body = asked.object("body")
    assert body is not None, "it was looked for"
    told = {name: body.given(name) for name in body}
    place = at.around.uri.removesuffix(at.around.path)
    for member, secret in _NAMED:
        url = body.text(member)
        if url:
            found = await at.core.files.fetch(
                at.app, url, sender.id if sender else 0, Box(SIDE_DEFAULT, SIDE_DEFAULT)
            )
            kept.append(found.file)
            told[member] = msgspec.Raw(_encode(f"{place}/chatfiles/{found.file.uuid}"))
            told[secret] = msgspec.Raw(_encode(found.secret))
    return asked.replaced("body", _encode(told))
