"""Rules that need nothing but what they are given: what a body may hold, and who may take a message back."""

from __future__ import annotations

from gateway.domain.errors import Kind, Problem, bad
from gateway.domain.limits import Limits
from gateway.domain.model import RELATING, ROOM, Ctype, Facts, Gone, Message

REFUSALS = frozenset(
    {
        Kind.BAD_PARAMETER,
        Kind.FORBIDDEN,
        Kind.FROZEN,
        Kind.BLOCKED,
        Kind.BANNED,
        Kind.ALL_BANNED,
        Kind.GROUP_DISABLED,
        Kind.USER_UNKNOWN,
        Kind.GROUP_UNKNOWN,
        Kind.NOT_A_MEMBER,
        Kind.GROUP_BLOCKED,
    }
)
"""Kinds by which rules refuse a draft, before it could meet dedup in a batch (design §4)."""

_TEXT = int(Ctype.TEXT)
_WANTS_ATTACHMENT = frozenset(map(int, (Ctype.IMAGE, Ctype.AUDIO, Ctype.VIDEO, Ctype.FILE)))


def check_body(ctype: int, content: str, attachment: str, ext: str, config: str, limits: Limits) -> None:
    """Check what a message holds (lanying.md, send and Limits). Sizes are bytes of UTF-8."""
    if ctype == _TEXT and not content:
        raise bad("content", "a text message needs content")
    if ctype in _WANTS_ATTACHMENT and not attachment:
        raise bad("attachment", f"content_type {ctype} needs an attachment")
    _check_size("content", content, limits.content_bytes_max)
    # Most messages have nothing but content.
    if attachment:
        _check_size("attachment", attachment, limits.attachment_bytes_max)
    if ext:
        _check_size("ext", ext, limits.ext_bytes_max)
    if config:
        _check_size("config", config, limits.config_bytes_max)


def _check_size(member: str, text: str, most: int) -> None:
    # A character is 1 to 4 bytes, so most texts need not be encoded to be measured.
    if len(text) * 4 > most and len(text.encode()) > most:
        raise bad(member, f"longer than {most} bytes")


def together(content: str, attachment: str, ext: str, config: str) -> int:
    """How many bytes the four texts of a message have together."""
    return sum(len(text.encode()) for text in (content, attachment, ext, config))


def check_together(content: str, attachment: str, ext: str, config: str, bytes_max: int) -> None:
    """Check an app's own bound of the four texts of a message together."""
    size = together(content, attachment, ext, config)
    if size > bytes_max:
        raise bad(
            "content",
            f"with attachment, ext and config it has {size} bytes, and a message of this app at most {bytes_max}",
        )


def silence(facts: Facts, now: int, *, over_ban: bool = False, over_ban_all: bool = False) -> Kind | None:
    """Why one may not speak in a group now, if so: a ban of one's own, one of all but some, or nobody may.

    Bans end by themselves: whoever may speak now may do so for as long as the group's version stays. `over_ban` and
    `over_ban_all`: the one ban or the other is not asked for.
    """
    if facts.disabled:
        return Kind.GROUP_DISABLED
    if facts.banned_until > now and not over_ban:
        return Kind.BANNED
    if facts.ban_all_until > now and not (over_ban_all or facts.owner or facts.admin or facts.trusted):
        return Kind.ALL_BANNED
    return None


def stranger(facts: Facts, group_xid: int) -> Problem:
    """Say no to who is not in a group, or kept out of a chatroom, where everybody else is."""
    if facts.type == ROOM:
        return Problem(Kind.GROUP_BLOCKED, f"chatroom {group_xid} keeps this user out")
    return Problem(Kind.NOT_A_MEMBER, f"not a member of group {group_xid}")


def check_related(ctype: int, related: int, targets: int, *, online_only: bool, notice: bool) -> None:
    """Check what a send about another message names (lanying.md, content types 9 to 12), or one that answers it."""
    if ctype < RELATING and not related:
        return
    what = "an answer" if ctype < RELATING else f"content_type {ctype}"
    if notice:
        raise bad("content_type", f"{what} is sent, not notified")
    if online_only:
        raise bad("online_only", f"{what} is about a message that is stored")
    if not related:
        raise bad("related_mid", f"{what} needs it")
    if targets > 1:
        raise bad("targets", f"{what} takes exactly one")


def check_recall(message: Message, actor_xid: int, now: int, window_ms: int, *, unbounded: bool) -> None:
    """Check who may recall when (lanying.md, recall): the sender in the window, or an `unbounded` actor."""
    if unbounded or (message.gone is Gone.RECALLED and message.sender_xid == actor_xid):
        return
    if message.sender_xid != actor_xid:
        raise Problem(
            Kind.FORBIDDEN,
            "only the sender, the group's owner and admins or an app admin may recall this message",
        )
    if now - message.at > window_ms:
        raise Problem(
            Kind.RECALL_TOO_LATE, f"a message can be recalled for {window_ms // 1000} s after it was sent"
        )
