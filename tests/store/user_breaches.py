"""How the laws about users, their devices and files are broken by hand: part of `breaches.py`."""

from __future__ import annotations

FILE = """
INSERT INTO file SELECT 'f', {app}, 'a', 'b', {size}, secret, 0, 1, 1, {uploader}, 1, {thumb}, 0 FROM app_key
"""

USER_BREACHES: dict[str, tuple[str, ...]] = {
    "user gone": (
        "DELETE FROM user WHERE id = 1",
        "{s} has no row of its own",
    ),
    "a state there is not": (
        "UPDATE timeline SET state = 3 WHERE id = 4",
        "{c} has state 3, which there is not",
    ),
    "a frozen group": (
        "UPDATE timeline SET state = 1 WHERE id = 5",
        "{g} has state 1, which is for users only",
    ),
    "a frozen system": (
        "UPDATE timeline SET state = 1 WHERE id = 1",
        "{s} has state 1, which is for users only",
    ),
    "a deleted user's password": (
        "UPDATE timeline SET state = 2 WHERE id = 4; UPDATE user SET password = 'x' WHERE id = 4",
        "{c} is deleted and still has a name or a password",
    ),
    "a deleted user's name": (
        "UPDATE timeline SET state = 2 WHERE id = 4; UPDATE user SET name = 'carol' WHERE id = 4",
        "{c} is deleted and still has a name or a password",
    ),
    "a deleted user's profile": (
        "UPDATE timeline SET state = 2 WHERE id = 4; UPDATE user SET avatar = 'face' WHERE id = 4",
        "{c} is deleted and still has a profile",
    ),
    "a deleted user's metadata": (
        'UPDATE timeline SET state = 2 WHERE id = 4; UPDATE user SET metadata = \'{{"a":"b"}}\' WHERE id = 4',
        "{c} is deleted and still has metadata",
    ),
    "a contact of one side": (
        "INSERT INTO contact VALUES (2, 3, 1)",
        "{a} knows {b}, and is not known",
    ),
    "a contact of oneself": (
        "INSERT INTO contact VALUES (2, 2, 1)",
        "{a} cannot know {a}",
    ),
    "a contact of who is deleted": (
        "UPDATE timeline SET state = 2 WHERE id = 4; INSERT INTO contact VALUES (2, 4, 1), (4, 2, 1)",
        "{a} cannot know {c}",
        "{c} cannot know {a}",
    ),
    "a member listed in a group": (
        "INSERT INTO listed VALUES (5, 2, 1)",
        "{a} cannot be listed in {g}",
    ),
    "who is deleted is listed": (
        """
        UPDATE grp SET type = 2, destroyed_at = NULL WHERE id = 6; UPDATE timeline SET state = 2 WHERE id = 4;
        INSERT INTO listed VALUES (6, 3, 1), (6, 4, 1)
        """,
        "{c} cannot be listed in group 1000000000002 of app demo",
        "{c} cannot have a stay in group 1000000000002 of app demo",
    ),
    "tokens from half a second on": (
        "UPDATE user SET valid_from_ms = 1500 WHERE id = 4",
        "{c} has tokens from 1500 on, which is no whole second",
    ),
    "a device of a group": (
        "INSERT INTO device (usr, sn, seen_at) VALUES (5, 1, 1)",
        "device 1 of {g} is kept, and there is nobody to use it",
    ),
    "a device of system": (
        "INSERT INTO device (usr, sn, seen_at) VALUES (1, 1, 1)",
        "device 1 of {s} is kept, and there is nobody to use it",
    ),
    "a platform there is not": (
        "UPDATE device SET platform = 7",
        "device 1 of {b} is on platform 7",
    ),
    "a block of oneself": (
        "UPDATE block SET blocked = usr",
        "{c} cannot have blocked {c}",
    ),
    "a blocked system": (
        "UPDATE block SET blocked = 1",
        "{c} cannot have blocked {s}",
    ),
    "a blocked group": (
        "UPDATE block SET blocked = 5",
        "{c} cannot have blocked {g}",
    ),
    "a block of nobody": (
        "UPDATE block SET usr = 99",
        "nobody (timeline 99) cannot have blocked {b}",
    ),
    "a file of no app": (
        FILE.format(app=9, size=0, uploader=0, thumb=0),
        "file f is of app 9, which does not exist",
    ),
    "a thumbnail of an unknown kind": (
        FILE.format(app=1, size=0, uploader=0, thumb=9),
        "file f has a thumbnail that there cannot be",
    ),
    "a file of nobody": (
        FILE.format(app=1, size=0, uploader=99, thumb=0),
        "file f is uploaded by who is no user of its app",
    ),
    "a file of who is deleted": (
        "UPDATE timeline SET state = 2 WHERE id = 4;" + FILE.format(app=1, size=0, uploader=4, thumb=0),
        "file f is uploaded by who is no user of its app",
    ),
}
