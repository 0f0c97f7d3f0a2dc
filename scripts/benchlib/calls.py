"""The requests that scenarios make, as bytes."""

from __future__ import annotations

import base64
import random
import secrets

from scripts.benchlib.http import Request
from scripts.loadlib.server import Signer

FIRST_UID = 3_000_000_000
"""The users of a scenario count up from here."""

ADMIN_UID = FIRST_UID - 1

NOBODY = Signer("demo", "0" * 16, base64.b64encode(bytes(64)).decode())
"""Signs requests to a floor: they are as long as those to a gateway."""


class Calls:
    """Makes requests to one gateway, all with one administrator's token."""

    def __init__(self, signer: Signer) -> None:
        self._first_key = secrets.randbelow(10**9) * 10**6
        self._head = (
            f" HTTP/1.1\r\nHost: 127.0.0.1\r\napp_id: {signer.app_id}\r\n"
            f"access-token: {signer.token(ADMIN_UID, admin=True)}\r\n"
        ).encode()

    def get(self, path: str, uid: int) -> bytes:
        """Ask for something in the name of a user."""
        return b"GET %s%suser_id: %d\r\n\r\n" % (path.encode(), self._head, uid)

    def post(self, path: str, body: bytes, uid: int = 0) -> bytes:
        """Post a body, in the name of a user where one is given."""
        named = b"user_id: %d\r\n" % uid if uid else b""
        return b"POST %s%s%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
            path.encode(),
            self._head,
            named,
            len(body),
            body,
        )

    def send(self, sender: int, target: int, text: bytes, more: bytes = b"", *, group: bool = False) -> bytes:
        """Send a text from a user to another or to a group; `more` are further members of the body."""
        body = b'{"type":%d,"targets":[%d],"from_user_id":%d,"content_type":0,"content":"%s"%s}' % (
            2 if group else 1,
            target,
            sender,
            text,
            more,
        )
        return self.post("/message/send", body)

    def key(self, number: int) -> bytes:
        """The transaction id of the send of this number, as a further member."""
        return b',"transaction_id":%d' % (self._first_key + number)

    def notify(self, target: int, text: bytes, more: bytes = b"") -> bytes:
        """Send a system notification to a user."""
        body = b'{"type":1,"targets":[%d],"content_type":0,"content":"%s"%s}' % (target, text, more)
        return self.post("/message/notify", body)

    def introductions(self, users: int) -> Request:
        """The request of each number up to `users` names that user, to whom it sends, and makes both."""

        def request(number: int, _: int) -> bytes:
            return self.send(FIRST_UID + number, FIRST_UID + (number + 1) % users, b"hello")

        return request

    def sends(self, count: int, users: int, text_bytes: int) -> Request:
        """`count` sends between random pairs of users, each with a transaction id, made beforehand."""
        chosen = random.Random(count)
        text = b"x" * text_bytes
        made = []
        for number in range(count):
            sender, target = chosen.sample(range(FIRST_UID, FIRST_UID + users), 2)
            made.append(self.send(sender, target, text, self.key(number)))
        return lambda number, _: made[number]
