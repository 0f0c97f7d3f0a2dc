"""The address that a gateway listens on, taken before anything is opened."""

from __future__ import annotations

import os
import socket

BACKLOG = 4_096
"""Connections the kernel holds for us while we are busy; aiohttp's 128 throttles a storm to about 200 a second."""


class ListenError(RuntimeError):
    """The address cannot be listened on; the sentence is for the operator."""


def listen(host: str, port: int) -> socket.socket:
    """Take an address, and let the kernel take connections for us.

    Raises:
        ListenError: with a sentence.
    """
    listener = bind(host, port)
    try:
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise _refused(host, port, error) from error
    return listener


def bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Take an address, without taking connections. Raises `ListenError`.

    `shared`: with other processes of this user; the kernel shares out who comes among those that listen.
    """
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        taken = socket.socket(family, kind, proto)
    except OSError as error:
        raise ListenError(f"cannot listen on {host}: {error.strerror}") from error
    try:
        if os.name == "posix":
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(address)
    except OSError as error:
        taken.close()
        raise _refused(host, port, error) from error
    taken.settimeout(0)
    return taken


def url_of(listener: socket.socket) -> str:
    """The URL under which it is reached."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _refused(host: str, port: int, error: OSError) -> ListenError:
    return ListenError(f"cannot listen on {host} port {port}: {os.strerror(error.errno or 0).lower()}")
