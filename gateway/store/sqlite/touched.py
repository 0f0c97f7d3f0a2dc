"""What a transaction changes of what users have of conversations."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from functools import cached_property
from typing import Any

from gateway.domain.drafts import (
    Answer,
    Changed,
    CreateDraft,
    DeleteDraft,
    Draft,
    ImportDraft,
    JobKind,
    MembershipDraft,
    MessageDraft,
    RecallDraft,
    Refused,
    Stale,
    Stepped,
)
from gateway.domain.group_drafts import GroupChange
from gateway.domain.model import Scope
from gateway.store.sqlite.lane import rows

Pair = tuple[int, int]
"""A conversation as one user has it: (whose it is, with whom)."""


class Touched:
    """What a transaction changes of conversations. It is filled while the transaction is made, and final at its COMMIT.

    `messages` have in their places 1 to 3 a target, a peer and a sender, as rows of the table have. `delivered` are the
    users whose *delivered* may move.
    """

    def __init__(
        self, pairs: Iterable[Pair] = (), *, delivered: Iterable[int] = (), everything: bool = False
    ) -> None:
        self.everything = everything
        self.messages: list[Sequence[Any]] = []
        self.noted = list(pairs)
        self.delivered = set(delivered)

    @cached_property
    def _resolved(self) -> tuple[set[Pair], set[int]]:
        pairs, groups = set(self.noted), set()
        for _, target, peer, sender, *_ in self.messages:
            if not peer:
                groups.add(target)
            elif peer == sender:
                pairs.add((target, sender))
                pairs.add((sender, target))
            else:
                pairs.add((target, peer))
                pairs.add((sender, peer))
        return pairs, groups

    @property
    def pairs(self) -> set[Pair]:
        """The conversations, as one user has them, that are touched."""
        return self._resolved[0]

    @property
    def groups(self) -> set[int]:
        """The groups whose conversation is touched for everybody who is in them."""
        return self._resolved[1]

    @cached_property
    def timeline_ids(self) -> set[int]:
        """The users and groups of whom anything is touched."""
        return {usr for usr, _ in self.pairs} | self.groups | self.delivered

    def touches(self, timeline_ids: Collection[int]) -> bool:
        """Whether any of these users and groups is touched."""
        return not self.timeline_ids.isdisjoint(timeline_ids)

    def note_messages(self, conn: sqlite3.Connection, msg_ids: Sequence[int]) -> None:
        """Add messages that are in the table: their texts go."""
        self.messages += conn.execute(
            "SELECT msg_id, target, peer, sender FROM message WHERE msg_id IN (SELECT value FROM json_each(?))",
            (rows(msg_ids),),
        )

    def note(self, conn: sqlite3.Connection, draft: Draft, answer: Answer) -> None:
        """Add what a draft that was answered so has changed. The rows of new messages are added by who writes them."""
        match draft, answer:
            case MessageDraft() | ImportDraft(), _:
                pass
            case _, Refused() | Stale():
                pass
            case RecallDraft(), Changed():
                self.note_messages(conn, [draft.msg_id])
            case DeleteDraft(), Changed():
                self.noted.append((draft.user_id, draft.opposite_id))
            case CreateDraft() | MembershipDraft() | GroupChange(), Changed():
                # Whoever comes or goes is told in its own timeline; nothing else of a group is seen in a list.
                self.noted += [
                    (placed.timeline_id, placed.entry.membership.group_id)
                    for placed in answer.placed
                    if placed.scope is Scope.USER and placed.entry.membership is not None
                ]
            case _, Stepped() if answer.job.kind is JobKind.BROADCAST:
                pass
            case _:
                self.everything = True
