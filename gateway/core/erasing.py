"""The end of a user, as its app or the operator wants it: the account at once, its texts by a job."""

from __future__ import annotations

from collections.abc import Callable

from gateway.core.directory import Directory
from gateway.core.jobs import Jobs
from gateway.core.presence import Presence
from gateway.core.principal import Principal
from gateway.domain.drafts import Job, JobDraft, JobKind
from gateway.domain.errors import Kind, Problem, bad
from gateway.domain.model import App, User
from gateway.store.base import Store
from gateway.wire.close import Close


class Erasing:
    """Erases users: name, password, profile and devices with the first commit, then groups and texts, page by page.

    The id stays taken, and timelines stay dense: where a text was, devices are told `gone`. Whoever is erased twice is
    erased once.
    """

    def __init__(
        self, store: Store, jobs: Jobs, directory: Directory, presence: Presence, clock_ms: Callable[[], int]
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._directory = directory
        self._presence = presence
        self._now = clock_ms

    async def delete(self, principal: Principal, user_xid: int) -> None:
        """Erase oneself, or with an admin token anybody; returns when the account is no more (vendors.md §1.3).

        Raises `FORBIDDEN`, `USER_UNKNOWN`, and `BAD_PARAMETER` where nobody is named or a group is.
        """
        me = 0 if principal.admin_alone else principal.user.xid
        if user_xid and me and user_xid != me:
            raise Problem(Kind.FORBIDDEN, "user_id: only an administrator's token may delete others")
        if not (user_xid or me):
            raise bad("user_id", "an administrator's token says whom to delete")
        if principal.group_xid:
            raise bad("group_id", "this header is not for deleting users")
        found = await self._store.user(principal.app.id, user_xid or me)
        if isinstance(found, Kind):
            raise Problem(found, f"user_id: there is no user {user_xid}")
        await self.erase(principal.app, found)

    async def erase(self, app: App, user: User) -> Job:
        """Make a user nobody; the job that is returned takes the texts, whatever happens to this process."""
        job = await self._jobs.start(erase_draft(app, user, self._now()))
        self._directory.known.user_changed(app, user.xid)
        await self._presence.dismiss(user.id, Close.TOKEN_ILLEGAL, "this user is no more")
        return job


def erase_draft(app: App, user: User, at: int) -> JobDraft:
    """The job that erases a user: one, however often it is asked for. Raises `FORBIDDEN` for the reserved user."""
    if user.id == app.system_id:
        raise Problem(Kind.FORBIDDEN, "user_id: the app's reserved user cannot be deleted")
    return JobDraft(app=app.id, kind=JobKind.ERASE, at=at, data=str(user.id), key=str(user.id))
