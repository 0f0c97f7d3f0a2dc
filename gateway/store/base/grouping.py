"""The part of the store port that lists what is about groups."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from gateway.domain.model import Banned, Blocked, Group, GroupRequest, Member


class Grouping(Protocol):
    """Lists groups, and who has which part in one."""

    async def groups(self, app: int, xids: Sequence[int]) -> dict[int, Group]:
        """Find groups that have not been destroyed, by their xids; those that are not there are left out."""

    async def groups_of_type(self, app: int, kind: int, after_xid: int, limit: int) -> list[int]:
        """List the xids of an app's groups of a type, oldest first, after the one given (0: from the first)."""

    async def group_admins(self, group_id: int) -> list[Member]:
        """List a group's administrators in the order of their ids; the owner is none of them."""

    async def group_trusted(self, group_id: int) -> list[Member]:
        """List who is trusted in a group, in the order of their ids: some of its members."""

    async def list_in(self, group_id: int, user_ids: Sequence[int], at: int) -> bool:
        """List users as members of a chatroom; False where it would list more than `Limits.group_members_max`.

        Who is listed already stays as they are; who is deleted, and a chatroom that has ended, are left out.
        """

    async def unlist(self, group_id: int, user_ids: Sequence[int]) -> set[int]:
        """List users no longer as members of a chatroom; return which of them were."""

    async def listed(self, group_id: int, after_xid: int, limit: int) -> list[Member]:
        """List whom a chatroom lists as members, in the order of their ids, after the one given."""

    async def listed_counts(self, inside: Mapping[int, Collection[int]]) -> dict[int, int]:
        """Count, per chatroom, whom it lists as members together with the users (their xids) named with it."""

    async def listing(self, user_id: int) -> list[int]:
        """List the xids of the chatrooms that list a user."""

    async def group_bans(self, group_id: int, after_xid: int, limit: int, now: int) -> list[Banned]:
        """List who may not speak in a group at `now`, in the order of their ids, after the one given."""

    async def group_blocks(self, group_id: int, after_xid: int, limit: int) -> list[Blocked]:
        """List who may not be in a group, in the order of their ids, after the one given."""

    async def kept_out(self, pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Which of these (group, user) are users that may not be in the group. The sweep asks of chatrooms."""

    async def applications(
        self, group_ids: Sequence[int], after_id: int, limit: int, now: int
    ) -> list[GroupRequest]:
        """List who asks at `now` to be let into one of the groups, oldest first, after the request given."""

    async def invitations(self, user_id: int, after_id: int, limit: int, now: int) -> list[GroupRequest]:
        """List by whom a user is asked at `now` to come into which groups, oldest first, after the one given."""
