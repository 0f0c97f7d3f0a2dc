"""How the laws about what a group keeps besides its members are broken by hand: part of `breaches.py`."""

from __future__ import annotations

GROUP_BREACHES: dict[str, tuple[str, ...]] = {
    "a ban in a group that ended": (
        "INSERT INTO ban VALUES(6, 3, 9, 1)",
        "{b} is banned in group 1000000000002 of app demo, which has ended",
    ),
    "a ban of a group": (
        "INSERT INTO ban VALUES(5, 6, 9, 1)",
        "group 1000000000002 of app demo is banned in {g}, which cannot be",
    ),
    "a block by a user": (
        "INSERT INTO grp_block VALUES(2, 3, 9)",
        "{b} is blocked by {a}, which cannot be",
    ),
    "a request of somebody of another app": (
        """
        INSERT INTO app SELECT 2, 'two', 1, 0, 0, 0, '', 0, 0, 0, 0, 0, 0;
        INSERT INTO timeline (id, app, xid, kind) VALUES(9, 2, 1, 1);
        INSERT INTO user (id, app, created_at) VALUES(9, 2, 1);
        INSERT INTO request VALUES(1, 5, 9, 1, 0, '', 0, 1, 9)
        """,
        "user 1 of app two has something open with {g}, which cannot be",
    ),
    "a banned owner": (
        "INSERT INTO ban VALUES(5, 2, 9, 1)",
        "{a} is banned in {g}, and owns it",
    ),
    "a blocked member": (
        "INSERT INTO grp_block VALUES(5, 4, 9)",
        "{c} is blocked by {g}, and is in it",
    ),
    "a member who applies": (
        "INSERT INTO request VALUES(1, 5, 4, 1, 0, '', 0, 1, 9)",
        "{c} has something open with {g}, and is in it",
    ),
    "a blocked user who is invited": (
        "INSERT INTO grp_block VALUES(5, 1, 9); INSERT INTO request VALUES(1, 5, 1, 2, 2, '', 0, 1, 9)",
        "{s} has something open with {g}, and is blocked by it",
    ),
    "a request that was answered": (
        "INSERT INTO request VALUES(1, 5, 1, 1, 0, '', 2, 1, 9)",
        "request 1 of {s} is answered and still there",
    ),
    "a request of no kind": (
        "INSERT INTO request VALUES(1, 5, 1, 3, 0, '', 0, 1, 9)",
        "request 1 of {s} is of the unknown kind 3",
    ),
    "an application by invitation": (
        "INSERT INTO request VALUES(1, 5, 1, 1, 2, '', 0, 1, 9)",
        "request 1 of {s} is an application, and has an inviter",
    ),
    "an invitation by a group": (
        "INSERT INTO request VALUES(1, 5, 1, 2, 6, '', 0, 1, 9)",
        "request 1 of {s} is an invitation by group 1000000000002 of app demo",
    ),
    "an administrator who left": (
        "UPDATE stay SET admin = 1 WHERE to_seq = 4",
        "{c} is an administrator of {g}, and no longer in it",
    ),
    "one who is trusted and has left": (
        "UPDATE stay SET trusted = 1 WHERE to_seq = 4",
        "{c} is trusted by {g}, and no longer in it",
    ),
    "an owner who is an administrator": (
        "UPDATE stay SET admin = 1 WHERE grp = 5 AND usr = 2",
        "{a} is an administrator of {g}, and owns it",
    ),
    "an owner who is not in it": (
        "UPDATE grp SET owner = 1 WHERE id = 5",
        "{g} is owned by {s}, who is not in it",
    ),
    "an approval of no kind": (
        "UPDATE grp SET apply_approval = 3 WHERE id = 5",
        "{g} has apply_approval 3",
    ),
}
