"""What dialects call apps, and the secrets of their backends."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway.domain.limits import Limits
from gateway.domain.model import App, Credential
from gateway.store.base import Store
from tests.store.stage import NOW, Stage


async def other_app(stage: Stage) -> App:
    made = await stage.store.create_app("other", "k", b"y" * 64, registered=False, at=NOW)
    assert made is not None
    return made


async def test_an_app_is_found_by_what_a_dialect_calls_it(stage: Stage, store: Store) -> None:
    """To the letter, and in that dialect only; also after a restart."""
    assert await store.set_alias(stage.app.id, "agora", "org/App")
    await stage.restart()
    named = [("agora", "org/App"), ("agora", "org/app"), ("netease", "org/App"), ("agora", "")]
    assert [await stage.store.alias(*name) for name in named] == ["demo", None, None, None]


async def test_an_app_has_one_name_in_a_dialect(stage: Stage, store: Store) -> None:
    """The one before is free for others; naming it the same again changes nothing."""
    app, other = stage.app.id, (await other_app(stage)).id
    for name in ("a/b", "c/d", "c/d"):
        assert await store.set_alias(app, "agora", name)
    assert await store.set_alias(app, "netease", "key")
    assert await store.aliases(app) == {"agora": "c/d", "netease": "key"}
    assert await store.set_alias(other, "agora", "a/b")
    assert await store.alias("agora", "a/b") == "other"


async def test_a_name_is_one_apps(stage: Stage, store: Store) -> None:
    """Who comes later is refused and keeps the name it has."""
    app, other = stage.app.id, (await other_app(stage)).id
    assert await store.set_alias(app, "agora", "a/b")
    assert await store.set_alias(other, "agora", "x/y")
    assert not await store.set_alias(other, "agora", "a/b")
    assert [await store.alias("agora", name) for name in ("a/b", "x/y")] == ["demo", "other"]


async def test_of_two_who_want_a_name_at_once_one_gets_it(stage: Stage, store: Store) -> None:
    """The other is refused, whoever had which name before."""
    apps = {"demo": stage.app.id, "other": (await other_app(stage)).id}
    for name in ("a/b", "c/d", "e/f"):
        given = await asyncio.gather(*(store.set_alias(app, "agora", name) for app in apps.values()))
        assert sorted(given) == [False, True]
        assert await store.alias("agora", name) == list(apps)[given.index(True)]


async def test_a_name_has_several_secrets(stage: Stage, store: Store) -> None:
    """The newest first, each once, of that app, dialect and name alone; what is told of them is no secret."""
    app, other = stage.app.id, (await other_app(stage)).id
    for secret, at in (("old", 5), ("new", 6), ("old", 7)):
        assert await store.add_credential(app, "agora", "id", secret, at)
    assert await store.add_credential(other, "agora", "id", "others", 5)
    assert await store.secrets(app, "agora", "id") == ["new", "old"]
    assert await store.secrets(app, "netease", "id") == await store.secrets(app, "agora", "") == []
    assert await store.credentials(app) == [Credential(dialect="agora", name="id", at=at) for at in (5, 6)]


async def test_secrets_are_dropped_by_name(stage: Stage, store: Store) -> None:
    """All of that name, and no other."""
    app = stage.app.id
    for name, secret in (("id", "one"), ("id", "two"), ("od", "three")):
        await store.add_credential(app, "agora", name, secret, NOW)
    await store.drop_credentials(app, "agora", "id")
    assert [await store.secrets(app, "agora", name) for name in ("id", "od")] == [[], ["three"]]


async def test_older_secrets_are_dropped(stage: Stage, store: Store) -> None:
    """The one that is listed first stays, of that name; another name, dialect and app keep all of theirs."""
    app, other = stage.app.id, (await other_app(stage)).id
    for where in (
        (app, "netease", "key"),
        (app, "netease", "other"),
        (app, "agora", "key"),
        (other, "netease", "key"),
    ):
        for secret, at in (("old", NOW), ("new", NOW + 1), ("newer", NOW + 1)):
            await store.add_credential(*where, secret, at)
    await store.drop_older_credentials(app, "netease", "key")
    assert await store.secrets(app, "netease", "key") == ["new"]
    await store.drop_older_credentials(app, "netease", "key")
    await store.drop_older_credentials(app, "netease", "nobody")
    assert await store.secrets(app, "netease", "key") == ["new"]
    for where in ((app, "netease", "other"), (app, "agora", "key"), (other, "netease", "key")):
        assert len(await store.secrets(*where)) == 3


async def test_an_app_has_so_many_secrets_at_most(engine: str, tmp_path: Path) -> None:
    """One that is there may be given again; of several at once none gets past the bound."""
    async with Stage(engine, tmp_path / "few", Limits(credentials_max=3)) as stage:
        app, add = stage.app.id, stage.store.add_credential
        made = await asyncio.gather(*(add(app, "agora", "id", f"s{number}", NOW) for number in range(6)))
        assert sorted(made) == [False] * 3 + [True] * 3
        held = await stage.store.secrets(app, "agora", "id")
        assert await add(app, "agora", "id", held[0], NOW)
        assert not await add(app, "agora", "id", "another", NOW)
        other = (await other_app(stage)).id
        assert await add(other, "agora", "id", "another", NOW)
