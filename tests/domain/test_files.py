"""What files are called, and what they are."""

from __future__ import annotations

import pytest

from gateway.domain.files import ANY_TYPE, Box, Depicts, File, file_name, media_type


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("a.jpg", "a.jpg"),
        ("/home/me/a.jpg", "a.jpg"),
        ("C:\\pictures\\a.jpg", "a.jpg"),
        ("../../etc/passwd", "passwd"),
        ("a\r\nSet-Cookie: b.jpg", "aSet-Cookie: b.jpg"),
        ("a\u202egpj.exe", "agpj.exe"),
        (" Übung 1.PDF ", "Übung 1.PDF"),
        (".profile", ".profile"),
        ("", ""),
        ("a/", ""),
        (".", ""),
        ("..", ""),
        ("\x00\x1f", ""),
        ("\ud800.txt", ".txt"),
    ],
)
def test_a_name(told: str, name: str) -> None:
    """The last component of a path, and nothing in it that cannot be seen."""
    assert file_name(told, 255) == name


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("x" * 30 + ".jpeg", "x" * 15 + ".jpeg"),
        ("ü" * 30 + ".jpeg", "ü" * 7 + ".jpeg"),
        ("x" * 30, "x" * 20),
        ("x." + "y" * 30, "x." + "y" * 18),
        ("." + "y" * 30, "." + "y" * 19),
    ],
)
def test_a_long_name(told: str, name: str) -> None:
    """Cut between characters, its ending kept where that is a short one."""
    assert file_name(told, 20) == name


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ("image/jpeg", "image/jpeg"),
        ("Text/HTML; charset=utf-8", "text/html"),
        ("image/svg+xml", "image/svg+xml"),
        ("", ANY_TYPE),
        ("image", ANY_TYPE),
        ("a/b\r\nc: d", ANY_TYPE),
        ("a/" + "b" * 126, ANY_TYPE),
    ],
)
def test_a_media_type(told: str, kind: str) -> None:
    """Without parameters; what is none says nothing."""
    assert media_type(told) == kind


@pytest.mark.parametrize(
    ("kind", "name", "depicts"),
    [
        ("image/png", "a.txt", Depicts.IMAGE),
        ("video/mp4", "", Depicts.VIDEO),
        (ANY_TYPE, "a.JPG", Depicts.IMAGE),
        (ANY_TYPE, "a.mov", Depicts.VIDEO),
        (ANY_TYPE, "a", None),
        ("text/plain", "a.jpg", None),
        ("audio/amr", "a.amr", None),
    ],
)
def test_what_it_shows(kind: str, name: str, depicts: Depicts | None) -> None:
    """By its type; by its name where the type says nothing."""
    file = File(
        uuid="",
        app=1,
        name=name,
        type=kind,
        size=1,
        secret_digest=b"",
        restricted=False,
        box=Box(1, 1),
        uploader=0,
        at=1,
    )
    assert file.depicts is depicts
