"""A TCP proxy in front of a server: it can stop passing anything on, cut, and speak TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

_PIECE = 1 << 16


class Proxy:
    """Listens on `port` while its block runs, and passes everything on to a local port, and back.

    With `swallowing` set bytes are taken and go nowhere: connections look alive from both ends. With `holding` nothing
    more is read from the server: what it sends piles up there, but for about `room_bytes` that the kernel takes where
    that is said.
    """

    def __init__(self, to_port: int, tls: ssl.SSLContext | None = None, room_bytes: int = 0) -> None:
        self.port = 0
        self.swallowing = False
        self.reading = asyncio.Event()
        self.reading.set()
        self._to_port = to_port
        self._tls = tls
        self._room_bytes = room_bytes
        self._closed = False
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        # Who has come and is not yet linked to the server finds it closed.
        self._closed = True
        self.reading.set()
        self.cut()
        await self._server.wait_closed()

    def cut(self) -> None:
        """End all connections there are."""
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await asyncio.open_connection(sock=await self._dial())
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, there[1]}
        if self._closed:
            self.cut()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._pass_on(reader, there[1]))
            tasks.create_task(self._pass_on(there[0], writer, back=True))
        self._writers -= {writer, there[1]}

    async def _dial(self) -> socket.socket:
        dialled = socket.socket()
        try:
            dialled.setblocking(False)
            if self._room_bytes:
                # Said before it is connected, it is all there will be.
                dialled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._room_bytes)
            await asyncio.get_running_loop().sock_connect(dialled, ("127.0.0.1", self._to_port))
        except BaseException:
            dialled.close()
            raise
        return dialled

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, back: bool = False
    ) -> None:
        with suppress(OSError):
            while piece := await reader.read(_PIECE):
                if not self.swallowing:
                    writer.write(piece)
                    await writer.drain()
                if back:
                    await self.reading.wait()
        writer.close()


def self_signed(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A TLS context of a server on 127.0.0.1, and the file of the certificate to trust."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subject = ("-subj", "/CN=bus", "-addext", "subjectAltName=IP:127.0.0.1")
    kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    subprocess.run(
        ["openssl", "req", "-x509", *kind, *subject, "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate
