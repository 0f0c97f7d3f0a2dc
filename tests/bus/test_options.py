"""What the bus is told: every kind of URL, and a sentence for those that are none."""

from __future__ import annotations

import pytest

from gateway.bus.options import BusOptions, Place


def place(url: str) -> Place:
    return BusOptions(url=url).place


def test_single_server() -> None:
    """Host, port, database, and an ACL user whose password may hold anything, escaped."""
    told = place("redis://bus:p%40ss%2F@cache.example:6380/2")
    assert (told.mode, told.tls, told.hosts, told.db) == ("single", False, (("cache.example", 6380),), 2)
    assert (told.username, told.password) == ("bus", "p@ss/")


def test_what_is_left_out_has_the_usual_value() -> None:
    """Port, database and credentials may be left out."""
    told = place("rediss://[::1]")
    assert (told.tls, told.hosts, told.db, told.username, told.password) == (
        True,
        (("::1", 6379),),
        0,
        "",
        "",
    )


def test_password_alone_is_that_of_the_default_user() -> None:
    """`:password@` names no user."""
    told = place("redis://:secret@h")
    assert (told.username, told.password) == ("", "secret")


def test_unix_socket() -> None:
    """A path, and the database behind it."""
    told = place("unix://u:p@/run/valkey%20x.sock?db=3")
    assert (told.mode, told.path, told.db, told.username) == ("unix", "/run/valkey x.sock", 3, "u")


def test_sentinels() -> None:
    """Some Sentinels, and the name of the service that they watch."""
    told = place("sentinel://u:p@one,two:26380/bus")
    assert (told.mode, told.hosts, told.service) == ("sentinel", (("one", 26379), ("two", 26380)), "bus")
    assert place("sentinels://one/bus").tls


def test_cluster() -> None:
    """Some members of a cluster."""
    told = place("redis-cluster://one:7000,two:7001")
    assert (told.mode, told.hosts) == ("cluster", (("one", 7000), ("two", 7001)))
    assert place("rediss-cluster://one").tls


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", "begins with one of redis://"),
        ("localhost:6379", "begins with one of redis://"),
        ("http://h", "begins with one of redis://"),
        ("redis://", "reads redis://host:port/db"),
        ("redis://:secret@", "reads redis://host:port/db"),
        ("redis://h:secret", "reads redis://host:port/db"),
        ("redis://h:0", "reads redis://host:port/db"),
        ("redis://h:99999", "reads redis://host:port/db"),
        ("redis://h/secret", "reads redis://host:port/db"),
        ("redis://h?secret=1", "reads redis://host:port/db"),
        ("redis://[::1", "reads redis://host:port/db"),
        ("unix://", "reads unix:///path/of/the.sock"),
        ("unix://h/secret", "reads unix:///path/of/the.sock"),
        ("sentinel://h", "reads sentinel://host:port,host:port/service"),
        ("sentinel://h,/bus", "reads sentinel://host:port,host:port/service"),
        ("redis-cluster://h/1", "reads redis-cluster://host:port,host:port"),
    ],
)
def test_what_is_no_url_is_refused_in_a_sentence(url: str, sentence: str) -> None:
    """The sentence says how such a URL reads, and repeats nothing of what may be a password."""
    with pytest.raises(ValueError, match=sentence) as refused:
        place(url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:secret@h/0",
        "redis://:secret@h/0",
        "unix://user:secret@/run/x.sock?db=1",
        "sentinel://user:secret@a,b/bus",
        "redis-cluster://user:secret@a,b",
    ],
)
def test_passwords_are_never_shown(url: str) -> None:
    """Neither the options nor what is made of them shows the password, and both say where the bus is."""
    options = BusOptions(url=url)
    assert "secret" not in f"{options!r} {options} {options.place!r} {options.place.name}"
    assert url.partition("://")[0] in options.place.name
