"""A client of the device channel: connects, resumes, acks, and yields frames (design §6).

```python
async with Device("http://127.0.0.1:8080", "demo", token) as device:
    async for frame in device:
        print(frame)
```
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self

import aiohttp
import msgspec

from gateway.client.calls import Calls
from gateway.client.connection import Connection, MalformedError
from gateway.client.cursors import Cursors, Frame, Verdict
from gateway.client.errors import CallError, ClosedError, LostError
from gateway.client.rooms import Rooms, is_of_room
from gateway.domain.limits import Limits
from gateway.wire.close import COME_BACK_MAX
from gateway.wire.encoding import JSON, MSGPACK

_INBOX_MAX = 1_000
_FOR_GOOD = range(COME_BACK_MAX + 1, 5000)
_RETRY_MS = 1_000


class _BreachError(Exception):
    """The server broke the protocol; the device says so in `tally` and comes back."""


class Backoff(msgspec.Struct, frozen=True):
    """How long to stay away after the n-th connection in a row that brought nothing."""

    first_s: float = 0.2
    max_s: float = 30.0

    def delay_s(self, attempt: int, rng: random.Random) -> float:
        """Double with each attempt, up to `max_s`, and spread over the upper half of it."""
        return min(self.max_s, self.first_s * 2.0 ** min(attempt, 30)) * rng.uniform(0.5, 1.0)


class Device:
    """One device of one user. Iterate over it once; it connects, and comes back, by itself.

    It yields every frame that answers no call of its own. An entry is acked once the loop asks for the next
    frame, so what the loop body has stored is never asked for again and what it has not is never lost. The
    loop ends by `ClosedError` when the server wants no more of the device, and quietly after `close`.

    `device_sn` 0 lets the server choose; keep `device_sn`, `cursors` and `epoch` to resume in another
    process. `token_in_hello` says the token in the first frame instead of in the handshake, as returning
    devices do anyway. With `auto_ack` off, call `ack` yourself. `encoding` is how frames travel; it changes
    nothing in them.
    """

    def __init__(
        self,
        base_url: str,
        app_id: str,
        token: str,
        *,
        device_sn: int = 0,
        cursors: Mapping[str, int] | None = None,
        epoch: str | None = None,
        token_in_hello: bool = False,
        auto_ack: bool = True,
        encoding: Literal["json", "msgpack"] = "json",
        call_timeout_s: float = 30.0,
        backoff: Backoff = Backoff(),  # noqa: B008 - frozen
        session: aiohttp.ClientSession | None = None,
        rng: random.Random | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.uid = 0
        self.device_sn = device_sn
        self.unacked_max = Limits().unacked_max
        self.tally: Counter[str] = Counter()
        """`connections`, `repeated` entries (allowed), and breaches: `duplicate`, `gap`, `malformed`."""
        self._url = base_url.rstrip("/") + "/ws"
        self._app_id = app_id
        self._token = token
        self._marks = Cursors(cursors or {}, epoch)
        self._rooms = Rooms()
        self._hello = token_in_hello or cursors is not None
        self._auto_ack = auto_ack
        self._encoding = MSGPACK if encoding == "msgpack" else JSON
        self._call_timeout_s = call_timeout_s
        self._backoff = backoff
        self._session = session
        self._own_session = session is None
        self._rng = rng if rng is not None else random.SystemRandom()
        self._sleep = sleep

        self._task: asyncio.Task[None] | None = None
        self._connection: Connection | None = None
        self._live = False
        self._advanced = False
        self._ended = False
        self._failure: Exception | None = None
        self._at_hand: Frame | None = None
        self._inbox: deque[Frame] = deque()
        self._unacked: Counter[str] = Counter()
        self._calls = Calls()
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._attached = asyncio.Event()

    @property
    def cursors(self) -> dict[str, int]:
        """How far the application has got in each timeline."""
        return dict(self._marks.cursors)

    @property
    def epoch(self) -> str | None:
        """The store that `cursors` belong to; None before the first `welcome`."""
        return self._marks.epoch

    async def __aenter__(self) -> Self:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        self._task = asyncio.create_task(self._run(self._session))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ack what the application is done with, disconnect and stay away. Repeating it is harmless."""
        if self._auto_ack:
            await self._ack_all()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._own_session and self._session is not None:
            await self._session.close()

    # -- what the application reads

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Frame:
        if (done := self._at_hand) is not None:
            self._at_hand = None
            await self._settle(done)
        while not self._inbox:
            if self._failure is not None:
                raise self._failure
            if self._ended:
                raise StopAsyncIteration
            if self._auto_ack and self._live and self._unacked:
                await self._ack_all()
                continue
            self._arrived.clear()
            await self._arrived.wait()
        frame = self._inbox.popleft()
        self._room.set()
        (self._rooms if is_of_room(frame) else self._marks).hold(frame)
        self._at_hand = frame
        return frame

    async def _settle(self, frame: Frame) -> None:
        timeline = self._marks.settle(frame)
        if timeline is None:
            return
        self._unacked[timeline] += 1
        # The server pauses a replay at unacked_max, so that half of it keeps both sides busy.
        if self._auto_ack and self._unacked[timeline] >= max(1, self.unacked_max // 2):
            await self.ack(timeline, self._marks.ackable(timeline))

    async def _ack_all(self) -> None:
        # A new connection may begin while one ack is on its way; it forgets what the others would say.
        while self._unacked:
            timeline = next(iter(self._unacked))
            await self.ack(timeline, self._marks.ackable(timeline))

    # -- what the application says

    async def ack(self, timeline: str, seq: int) -> None:
        """Say that everything up to `seq` has been stored here: DELIVERED, cumulative, not answered.

        One that does not get through does no harm: the next connection's `hello` says it again.
        """
        self._unacked.pop(timeline, None)
        if self._connection is not None:
            try:
                await self._connection.say({"op": "ack", "timeline": timeline, "seq": seq})
            except (aiohttp.ClientError, OSError):
                self.tally["lost_acks"] += 1

    async def send(self, **body: Any) -> Frame:  # noqa: ANN401 - the body of POST /message/send
        """Send a message; the arguments are the body of POST /message/send. Returns the `ok` frame."""
        return await self._call("send", body)

    async def read(self, conversation_id: int, msg_id: int) -> Frame:
        """Mark the conversation as READ up to `msg_id`; committed when this returns."""
        return await self._call("read", {"conversation_id": conversation_id, "msg_id": msg_id})

    async def recall(self, conversation_id: int, msg_id: int) -> Frame:
        """Take a message back; committed when this returns."""
        return await self._call("recall", {"conversation_id": conversation_id, "msg_id": msg_id})

    async def join(self, room_id: int, seq: int | None = None) -> Frame:
        """Enter a chatroom, at its head or after `seq`; from now on every new connection enters it again.

        Returns the `ok` frame, with the timeline's name and the seq after which its entries come. Where a new
        connection cannot enter it any more, the `error` comes among the frames, with that name for its `ref`.
        """
        return await self._call("join", {"room_id": room_id} | ({} if seq is None else {"seq": seq}))

    async def leave(self, room_id: int) -> Frame:
        """Leave a chatroom."""
        self._rooms.leave(room_id)
        try:
            return await self._call("leave", {"room_id": room_id})
        finally:
            # The answer to a join that was on its way may have come in between.
            self._rooms.leave(room_id)

    async def signal(self, **body: Any) -> Frame:  # noqa: ANN401 - type, target, content
        """Tell who is online: `type` 1 a user, 2 a group, `target` its id, `content`. Never stored."""
        return await self._call("signal", body)

    async def ping(self) -> float:
        """Return the time to the server and back, in seconds."""
        loop = asyncio.get_running_loop()
        connection = await self._attached_connection()
        started = loop.time()
        await self._answer(connection, {"op": "ping"}, self._calls.ping())
        return loop.time() - started

    async def _call(self, op: str, members: Mapping[str, Any]) -> Frame:
        connection = await self._attached_connection()
        ref, answer = self._calls.call()
        try:
            frame = await self._answer(connection, {"op": op, "ref": ref, **members}, answer)
        finally:
            self._calls.forget(ref)
        if frame["op"] == "error":
            retry_ms = frame.get("retry_after_ms")
            raise CallError(frame["code"], frame["message"], None if retry_ms is None else retry_ms / 1000)
        return frame

    async def _attached_connection(self) -> Connection:
        try:
            async with asyncio.timeout(self._call_timeout_s):
                await self._attached.wait()
        except TimeoutError:
            raise LostError(f"not connected within {self._call_timeout_s} s") from None
        if self._connection is None:
            raise self._failure or LostError("this device was closed")
        return self._connection

    async def _answer(self, connection: Connection, frame: Frame, answer: asyncio.Future[Frame]) -> Frame:
        self._room.set()
        try:
            async with asyncio.timeout(self._call_timeout_s):
                await connection.say(frame)
                return await answer
        except (TimeoutError, aiohttp.ClientError, OSError) as why:
            raise LostError(f"no answer to {frame['op']}") from why

    # -- the connection

    async def _run(self, session: aiohttp.ClientSession) -> None:
        """Connect again and again, until the server closes for good or `close` cancels this task."""
        attempt = 0
        try:
            while True:
                self._advanced = False
                advice_s = await self._connect(session)
                attempt = 0 if self._advanced else attempt + 1
                await self._sleep(advice_s + self._backoff.delay_s(attempt, self._rng))
        except Exception as why:  # noqa: BLE001 - the application's loop raises it
            self._failure = why
        finally:
            self._ended = True
            self._arrived.set()
            self._attached.set()

    async def _connect(self, session: aiohttp.ClientSession) -> float:
        """Hold one connection to its end; return how long the server advises to stay away, in seconds."""
        hello = self._hello
        query = {"app_id": self._app_id, "device_sn": str(self.device_sn)}
        headers = {} if hello else {"access-token": self._token}
        try:
            connection = await Connection.open(session, self._url, query, headers, self._encoding)
        except (aiohttp.ClientError, OSError, TimeoutError):
            return 0.0
        try:
            if hello:
                await self._say_hello(connection)
            return await self._read(connection)
        except (aiohttp.ClientError, OSError):
            return 0.0
        except _BreachError:
            await connection.refuse()
            return 0.0
        finally:
            self._detach()
            await connection.close()

    async def _say_hello(self, connection: Connection) -> None:
        hello: Frame = {"op": "hello", "token": self._token}
        if self._marks.epoch is not None:
            hello |= {"epoch": self._marks.epoch, "cursors": self._marks.state()}
        await connection.say(hello)

    async def _read(self, connection: Connection) -> float:
        bye: Frame = {}
        while True:
            try:
                if (frame := await connection.hear()) is None:
                    break
                if frame["op"] == "bye":
                    bye = frame
                if frame["op"] == "welcome":
                    rejoin = self._rooms.rejoin(forgotten=frame["epoch"] != self._marks.epoch)
                    self._on_welcome(connection, frame)
                    for joining in rejoin:
                        await connection.say(joining)
                self._on_frame(frame)
            except (MalformedError, KeyError, TypeError) as what:
                self.tally["malformed"] += 1
                raise _BreachError from what
            # Past a full inbox while a call waits: one made by the loop body could not end otherwise.
            while len(self._inbox) >= _INBOX_MAX and not self._calls:
                self._room.clear()
                await self._room.wait()
        for said in (connection.code, bye.get("code", 0)):
            if said in _FOR_GOOD:
                raise ClosedError(said, str(bye.get("reason") or connection.said_last))
        return float(bye.get("retry_after_ms") or 0) / 1000

    def _detach(self) -> None:
        self._connection = None
        self._live = False
        self._attached.clear()
        self._calls.lose(aiohttp.ClientConnectionError("the connection went away"))

    def _on_frame(self, frame: Frame) -> None:
        match frame["op"]:
            case "welcome":
                pass
            case "ok" | "error" if self._calls.take(frame):
                self._rooms.enter(frame)
                return
            case "ok" | "error":
                if (joining := self._rooms.ask_again(frame)) is not None:
                    assert self._connection is not None, "frames come on a connection"
                    pause_ms = frame.get("retry_after_ms") or _RETRY_MS
                    self._connection.say_later(joining, partial(self._sleep, pause_ms / 1000))
                    return
                if self._rooms.take_rejoined(frame):
                    return
                # Nobody waits for it any more, yet what it says holds.
                self._rooms.enter(frame)
            case "pong" if self._calls.take_pong(frame):
                return
            case "live":
                self._live = self._advanced = True
            case _:
                if not self._is_new(frame):
                    return
        self._inbox.append(frame)
        self._arrived.set()

    def _on_welcome(self, connection: Connection, frame: Frame) -> None:
        # Entries that nobody has read yet come again; keeping them would only hide a forgotten one.
        self._inbox = deque(waiting for waiting in self._inbox if not self._comes_again(waiting))
        self._marks.attach(frame["epoch"], frame["cursors"])
        self._unacked.clear()
        self.uid = frame["uid"]
        self.device_sn = frame["device_sn"]
        self.unacked_max = frame["limits"]["unacked_max"]
        self.tally["connections"] += 1
        self._hello = True
        self._connection = connection
        self._attached.set()

    def _comes_again(self, frame: Frame) -> bool:
        return self._rooms.comes_again(frame) if is_of_room(frame) else "timeline" in frame

    def _is_new(self, frame: Frame) -> bool:
        verdict = (self._rooms if is_of_room(frame) else self._marks).judge(frame)
        if verdict is not Verdict.NEW:
            self.tally[verdict.value] += 1
        if verdict is Verdict.GAP:
            raise _BreachError
        if verdict is Verdict.REPEATED:
            # Nobody will read it, so nothing else would get it acked.
            self._unacked[frame["timeline"]] += 1
            self._arrived.set()
        self._rooms.note(frame)
        self._advanced = self._advanced or "timeline" in frame
        return verdict is Verdict.NEW
