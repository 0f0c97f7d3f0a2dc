"""Files, as the store knows them: rows, what they count for, and how they go."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.domain.files import Box, File, Thumb
from gateway.store.base import Oldest
from tests.store.stage import NOW, Stage
from tests.store.test_erase import erase
from tests.store.test_storage import bound, stored


def a_file(stage: Stage, number: int = 1, **members: Any) -> File:
    told: dict[str, Any] = {
        "uuid": f"00000000-0000-4000-8000-{number:012}",
        "app": stage.app.id,
        "name": "Ferien am Meer, Übersicht.jpg",
        "type": "image/jpeg",
        "size": 1_000,
        "secret_digest": b"\x00\xff" * 16,
        "restricted": True,
        "box": Box(170, 1_024),
        "uploader": 0,
        "at": NOW + number,
    }
    return File(**{**told, **members})


async def test_a_row_is_read_as_it_was_written(stage: Stage) -> None:
    """Every member, of its app only."""
    file = a_file(stage)
    assert await stage.store.add_file(file)
    assert await stage.store.file(stage.app.id, file.uuid) == file
    assert await stage.store.file(stage.app.id + 1, file.uuid) is None
    assert await stage.store.file(stage.app.id, "none") is None


async def test_its_thumbnail_is_noted(stage: Stage) -> None:
    """Whether there is one, of what kind, and how large it is."""
    file = a_file(stage)
    await stage.store.add_file(file)
    await stage.store.set_thumbnail(file.uuid, Thumb.PNG, 77)
    found = await stage.store.file(stage.app.id, file.uuid)
    assert found is not None
    assert (found.thumb, found.thumb_size) == (Thumb.PNG, 77)


async def test_of_many_at_once_as_many_are_kept_as_fit(stage: Stage) -> None:
    """Each is judged by what the others have made of it; whoever is refused leaves nothing."""
    await bound(stage, 3_500)
    told = await asyncio.gather(*(stage.store.add_file(a_file(stage, number)) for number in range(1, 11)))
    assert sorted(told) == [False] * 7 + [True] * 3
    assert await stored(stage) == 3_000
    there = await stage.store.files_among([a_file(stage, number).uuid for number in range(1, 11)])
    assert there == {a_file(stage, number).uuid for number, kept in enumerate(told, 1) if kept}


async def test_it_counts_with_its_app(stage: Stage) -> None:
    """Its bytes, as texts do: up to the last one, and no more once it is gone."""
    await bound(stage, 1_500)
    assert await stage.store.add_file(a_file(stage, 1))
    assert not await stage.store.add_file(a_file(stage, 2, size=501))
    assert await stage.store.add_file(a_file(stage, 3, size=500))
    assert await stored(stage) == 1_500
    assert await stage.store.files_among([a_file(stage, number).uuid for number in (1, 2, 3, 4)]) == {
        a_file(stage, 1).uuid,
        a_file(stage, 3).uuid,
    }
    await stage.store.drop_files(NOW + 2, 10)
    assert await stored(stage) == 500


async def test_the_oldest_go_first(stage: Stage) -> None:
    """Page by page, and none that is as young as the time."""
    for number in (3, 1, 2, 4):
        await stage.store.add_file(a_file(stage, number))
    assert await stage.store.oldest() == Oldest(0, 0, NOW + 1)
    dropped = [sorted(await stage.store.drop_files(NOW + 4, 2)) for _ in range(3)]
    uuids = [(stage.app.id, a_file(stage, number).uuid) for number in (1, 2, 3)]
    assert dropped == [uuids[:2], uuids[2:], []]
    assert await stage.store.oldest() == Oldest(0, 0, NOW + 4)


async def test_one_that_is_discarded(stage: Stage) -> None:
    """Is not found any more, and goes with the next."""
    for number in (1, 2):
        await stage.store.add_file(a_file(stage, number))
    await stage.store.discard_file(a_file(stage, 1).uuid)
    assert await stage.store.file(stage.app.id, a_file(stage, 1).uuid) is None
    assert await stage.store.drop_files(0, 10) == [(stage.app.id, a_file(stage, 1).uuid)]
    assert await stored(stage) == 1_000


async def test_those_of_who_is_erased_go(stage: Stage) -> None:
    """At once for who asks for them, with the next sweep for good, whatever the time; also what came in just then."""
    await stage.users(1, 2)
    mine, theirs = await stage.id(1), await stage.id(2)
    await stage.store.add_file(a_file(stage, 1, uploader=mine))
    await stage.store.add_file(a_file(stage, 2, uploader=theirs))
    await erase(stage, 1)
    await stage.store.add_file(a_file(stage, 3, uploader=mine))
    found = [await stage.store.file(stage.app.id, a_file(stage, number).uuid) for number in (1, 2, 3)]
    assert [file is not None for file in found] == [False, True, False]
    assert await stage.store.oldest() == Oldest(0, 0, NOW + 2)
    gone = await stage.store.drop_files(0, 10)
    assert sorted(uuid for _, uuid in gone) == [a_file(stage, 1).uuid, a_file(stage, 3).uuid]


@pytest.mark.parametrize(
    ("breach", "sentence"),
    [
        ("size = -1", "has -1 bytes"),
        ("thumb = 9", "has a thumbnail that there cannot be"),
        ("uploader = 999", "is uploaded by who is no user of its app"),
    ],
)
async def test_damage_is_told(stage: Stage, breach: str, sentence: str) -> None:
    """The laws of files."""
    file = a_file(stage, size=0)
    await stage.store.add_file(file)
    await stage.alter(f"UPDATE file SET {breach}")
    assert f"file {file.uuid} {sentence}" in stage.check()
    await stage.alter("DELETE FROM file")
