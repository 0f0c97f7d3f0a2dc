"""The bounded memory."""

from __future__ import annotations

from gateway.core.cache import Cache


def test_it_keeps_no_more_than_it_may() -> None:
    """The one used least recently goes first."""
    cache: Cache[str, int] = Cache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert (cache.get("a"), cache.get("b"), cache.get("c"), len(cache)) == (1, None, 3, 2)


def test_putting_again_is_a_use() -> None:
    """A value put anew counts as just used, and replaces the old one."""
    cache: Cache[str, int] = Cache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    cache.put("a", 3)
    cache.put("c", 4)
    assert (cache.get("a"), cache.get("b")) == (3, None)


def test_what_is_forgotten_is_gone() -> None:
    """Forgetting drops a key, and does nothing for one that is not there."""
    cache: Cache[str, int] = Cache(2)
    cache.put("a", 1)
    cache.forget("a")
    cache.forget("b")
    assert cache.get("a") is None


def test_what_is_too_old_is_not_believed() -> None:
    """A value counts for a while from when it was last put in, however often it is used; then it is asked for anew."""
    now = 100
    cache: Cache[str, int] = Cache(2, age_max=10, clock=lambda: now)
    cache.put("a", 1)
    now = 109
    assert cache.get("a") == 1
    cache.put("b", 2)
    now = 110
    assert (cache.get("a"), cache.get("b"), len(cache)) == (None, 2, 1)
    cache.put("b", 3)
    now = 119
    assert cache.get("b") == 3


def test_everything_can_be_forgotten() -> None:
    """At once."""
    cache: Cache[str, int] = Cache(2)
    cache.put("a", 1)
    cache.clear()
    assert (cache.get("a"), len(cache)) == (None, 0)
