"""Passwords: scrypt records, made and checked beside the event loop.

One thread does the work, so that however many log in at once the loop keeps its core for messages; what waits
for that thread is bounded, and past the bound the caller is told to come back.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import msgspec

from gateway.core.turns import Turns
from gateway.domain.errors import Kind, Problem, bad
from gateway.domain.limits import Limits

T = TypeVar("T")

_SALT_BYTES = 16
_HASH_BYTES = 32
_DRAWN_BYTES = 16
_RETRY_AFTER_MS = 1_000
_RECORD = re.compile(
    r"\$scrypt\$ln=([0-9]{1,2}),r=([0-9]{1,3}),p=([0-9]{1,3})\$([A-Za-z0-9+/]{1,100})\$([A-Za-z0-9+/]{1,100})"
)


class Cost(msgspec.Struct, frozen=True):
    """What one guess costs: 2^`ln` steps over `r` * 128 bytes each, `p` times over."""

    ln: int
    r: int
    p: int


COST = Cost(ln=14, r=8, p=5)
"""16 MiB and 5 passes (OWASP's Password Storage Cheat Sheet, scrypt): the setting that needs least memory."""


class _Waiting(NamedTuple):
    """Something to be done by the thread, and who is told."""

    work: Callable[[], Any]
    future: Future[Any]


class Passwords:
    """Makes and checks password records; a record carries its own salt and cost (PHC string format).

    `randomness` gives that many random bytes. Every call raises `OVERLOADED` with a time to come back when
    `Limits.password_queue_max` calls are under way, and `DRAINING` once closed. An app, by its number, may hold as many
    of them as it leaves free, half where it is alone, and apps take turns: whoever guesses at the passwords of one, as
    anybody may, neither keeps the users of others out nor makes them wait for all the guesses.
    """

    def __init__(self, limits: Limits, randomness: Callable[[int], bytes], cost: Cost = COST) -> None:
        self._randomness = randomness
        self._cost = cost
        self._bytes_max = limits.password_bytes_max
        self._queue_max = limits.password_queue_max
        # How many calls of each app are under way, and those of them that wait; the thread takes of both.
        self._lock = threading.Lock()
        self._held: Counter[int] = Counter()
        self._turns: Turns[_Waiting] = Turns()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="passwords")
        # Matches no password, as its hash is no hash of anything; checked where there is no record.
        self._nobody = _written(cost, bytes(_SALT_BYTES), bytes(_HASH_BYTES))

    def draw(self) -> str:
        """Return a password that nobody guesses: 128 random bits."""
        return self._randomness(_DRAWN_BYTES).hex()

    def check(self, password: str, member: str) -> None:
        """Refuse what no password may be (`BAD_PARAMETER`), naming the member that holds it."""
        if not 0 < len(password.encode()) <= self._bytes_max:
            raise bad(member, f"it must have 1 to {self._bytes_max} bytes")

    async def record(self, password: str, app: int) -> str:
        """Return a new record of a password; two records of the same one differ."""
        salt = self._randomness(_SALT_BYTES)
        return await self._run(app, lambda: _written(self._cost, salt, _hashed(password, self._cost, salt)))

    async def matches(self, password: str, record: str, app: int) -> bool:
        """Whether a record is of this password. Without one (empty) the answer is no, after the same time."""
        return await self._run(app, lambda: _matches(password, record or self._nobody))

    def close(self) -> None:
        """Refuse what waits, as `DRAINING`; the one check under way ends by itself, and nobody waits for it."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        waiting = []
        with self._lock:
            while self._turns:
                waiting.append(self._turns.take())
        for one in waiting:
            one.future.cancel()

    async def _run(self, app: int, work: Callable[[], T]) -> T:
        future = self._enter(app, work)
        # A caller that goes away does not take its place in the queue with it: the work still waits there.
        try:
            return await asyncio.shield(asyncio.wrap_future(future))
        except asyncio.CancelledError:
            if future.cancelled():
                raise _draining() from None
            raise

    def _enter(self, app: int, work: Callable[[], T]) -> Future[T]:
        """Let something to be done wait for its turn; its app holds a place until it is done."""
        future: Future[T] = Future()
        with self._lock:
            held = self._held.total()
            if held and self._held[app] + held >= self._queue_max:
                raise Problem(
                    Kind.OVERLOADED, "too many password checks at once", retry_after_ms=_RETRY_AFTER_MS
                )
            try:
                self._thread.submit(self._do_next)
            except RuntimeError:
                raise _draining() from None
            self._held[app] += 1
            self._turns.put(app, _Waiting(work, future))
        future.add_done_callback(lambda _: self._release(app))
        return future

    def _do_next(self) -> None:
        """Do what is next, in the thread: it is told to as often as something waits."""
        with self._lock:
            if not self._turns:
                # Closed meanwhile.
                return
            waiting = self._turns.take()
        if waiting.future.set_running_or_notify_cancel():
            try:
                result = waiting.work()
            except Exception as error:  # noqa: BLE001 - whoever waits for it is told
                waiting.future.set_exception(error)
            else:
                waiting.future.set_result(result)

    def _release(self, app: int) -> None:
        with self._lock:
            self._held[app] -= 1
            if not self._held[app]:
                del self._held[app]


def _draining() -> Problem:
    return Problem(Kind.DRAINING, "the gateway is stopping")


def _hashed(password: str, cost: Cost, salt: bytes) -> bytes:
    steps = 1 << cost.ln
    return hashlib.scrypt(
        password.encode(),
        salt=salt,
        n=steps,
        r=cost.r,
        p=cost.p,
        maxmem=128 * cost.r * (steps + cost.p + 2),
        dklen=_HASH_BYTES,
    )


def _matches(password: str, record: str) -> bool:
    found = _RECORD.fullmatch(record)
    if found is None:
        raise ValueError("a stored password record cannot be read")
    cost = Cost(int(found[1]), int(found[2]), int(found[3]))
    return hmac.compare_digest(_hashed(password, cost, _bytes(found[4])), _bytes(found[5]))


def _written(cost: Cost, salt: bytes, digest: bytes) -> str:
    return f"$scrypt$ln={cost.ln},r={cost.r},p={cost.p}${_text(salt)}${_text(digest)}"


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4))
