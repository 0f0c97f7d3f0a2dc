"""The laws of what a group keeps besides its members: bans, blocks, requests, administrators, its owner.

Every engine asks them in the same words.
"""

from __future__ import annotations

from gateway.domain.group_drafts import RequestKind
from gateway.domain.model import ROOM, Scope
from gateway.store.laws import who

_USER = int(Scope.USER)
_APPLICATION, _INVITATION = int(RequestKind.APPLICATION), int(RequestKind.INVITATION)


GROUP_LAWS: tuple[str, ...] = (
    f"""
    SELECT {who("h.usr")} || h.says || {who("h.grp")} || CASE
        WHEN g.id IS NULL OR coalesce(u.kind <> {_USER}, true) OR u.app <> g.app THEN ', which cannot be'
        ELSE ', which has ended' END
    FROM (
        SELECT grp, usr, ' is banned in ' AS says FROM ban
        UNION ALL SELECT grp, usr, ' is blocked by ' FROM grp_block
        UNION ALL SELECT grp, usr, ' has something open with ' FROM request) AS h
    LEFT JOIN grp AS g ON g.id = h.grp LEFT JOIN timeline AS u ON u.id = h.usr
    WHERE NOT coalesce(u.kind = {_USER} AND u.app = g.app AND g.destroyed_at IS NULL, false)
    """,
    f"""
    SELECT {who("b.usr")} || ' is banned in ' || {who("b.grp")} || ', and owns it'
    FROM ban AS b JOIN grp AS g ON g.id = b.grp AND g.owner = b.usr
    """,
    f"""
    SELECT {who("h.usr")} || h.says || {who("h.grp")} || ', and is in it' FROM (
        SELECT grp, usr, ' is blocked by ' AS says FROM grp_block
        UNION ALL SELECT grp, usr, ' has something open with ' FROM request) AS h
    JOIN stay AS s ON s.usr = h.usr AND s.grp = h.grp AND s.to_seq IS NULL
    """,
    f"""
    SELECT {who("r.usr")} || ' has something open with ' || {who("r.grp")} || ', and is blocked by it'
    FROM request AS r JOIN grp_block AS b ON b.grp = r.grp AND b.usr = r.usr
    """,
    f"""
    SELECT 'request ' || r.id || ' of ' || {who("r.usr")} || CASE
        WHEN r.state <> 0 THEN ' is answered and still there'
        WHEN r.kind NOT IN ({_APPLICATION}, {_INVITATION}) THEN ' is of the unknown kind ' || r.kind
        WHEN r.kind = {_APPLICATION} THEN ' is an application, and has an inviter'
        ELSE ' is an invitation by ' || {who("r.inviter")} END
    FROM request AS r JOIN timeline AS u ON u.id = r.usr LEFT JOIN timeline AS i ON i.id = r.inviter
    WHERE r.state <> 0 OR NOT CASE r.kind WHEN {_APPLICATION} THEN r.inviter = 0
        WHEN {_INVITATION} THEN coalesce(i.kind = {_USER} AND i.app = u.app, false) ELSE false END
    """,
    f"""
    SELECT {who("s.usr")} || ' is an administrator of ' || {who("s.grp")} || CASE
        WHEN s.to_seq IS NOT NULL THEN ', and no longer in it' ELSE ', and owns it' END
    FROM stay AS s LEFT JOIN grp AS g ON g.id = s.grp
    WHERE s.admin <> 0 AND (s.to_seq IS NOT NULL OR g.owner = s.usr)
    """,
    f"""
    SELECT {who("s.usr")} || ' is trusted by ' || {who("s.grp")} || ', and no longer in it' FROM stay AS s
    WHERE s.trusted <> 0 AND s.to_seq IS NOT NULL
    """,
    f"""
    SELECT {who("g.id")} || ' is owned by ' || {who("g.owner")} || ', who is not in it' FROM grp AS g
    WHERE g.destroyed_at IS NULL AND g.type <> {ROOM}
        AND NOT EXISTS (SELECT 1 FROM stay AS s WHERE s.usr = g.owner AND s.grp = g.id AND s.to_seq IS NULL)
    """,
    f"""
    SELECT {who("g.id")} || CASE WHEN g.app <> t.app THEN ' is listed with the groups of app ' || g.app
        ELSE ' has apply_approval ' || g.apply_approval END
    FROM grp AS g JOIN timeline AS t ON t.id = g.id
    WHERE g.app <> t.app OR g.apply_approval NOT BETWEEN 0 AND 2
    """,
)
