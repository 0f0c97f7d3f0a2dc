"""A file that comes in as a part of a form (`multipart/form-data`, RFC 7578), as a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Self

from aiohttp import BodyPartReader, MultipartReader, hdrs, web
from aiohttp.http import HttpProcessingError
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.domain.errors import Kind, Problem, bad
from gateway.domain.limits import Limits

CHUNK_BYTES = 64 * 1024

FORM_BYTES = 64 * 1024
"""What a form may have beside its file: boundaries, headers, other parts."""

_PLAIN = frozenset({"", "binary", "8bit", "7bit"})
_MALFORMED = (ValueError, AssertionError, RuntimeError, HttpProcessingError)
"""What aiohttp's reader of forms raises at what is none."""

_FORM, _BYTES = "multipart/form-data", "application/octet-stream"


class _Form(MultipartReader):
    """A form whose parts may be labelled as forms: some clients give each part the type of the whole.

    Without a boundary of its own such a part can be none, so it holds bytes. What stands between parts is bounded.
    """

    _lines_bytes = 0

    async def _readline(self) -> bytes:
        line = await super()._readline()
        self._lines_bytes += len(line)
        if self._lines_bytes > FORM_BYTES:
            # Before the first boundary anything may stand, and aiohttp would read it for ever.
            raise ValueError("too much stands between the parts")
        return line

    def _get_part_reader(self, headers: CIMultiDictProxy[str]) -> MultipartReader | BodyPartReader:
        if headers.get(hdrs.CONTENT_TYPE, "").strip().lower() == _FORM:
            labelled = CIMultiDict(headers)
            labelled[hdrs.CONTENT_TYPE] = _BYTES
            headers = CIMultiDictProxy(labelled)
        return super()._get_part_reader(headers)


class Upload:
    """The file of a form. Its bytes are read once, by `chunks`; `fields` are the other parts of the form.

    Parts behind the file are among them when its last byte has been read.
    """

    def __init__(self, form: MultipartReader, limits: Limits) -> None:
        self._form = form
        self._limits = limits
        self._parts = 0
        self._file: BodyPartReader | None = None
        self.fields: dict[str, str] = {}

    @classmethod
    async def begin(cls, request: web.Request, limits: Limits, name: str = "file") -> Self | None:
        """Read a form up to its first part of this name; None where it has none.

        Raises:
            Problem: `BAD_PARAMETER` for what is no form, `TOO_LARGE` where its length tells so.
        """
        if request.content_type != _FORM:
            raise bad("body", f"it must be {_FORM}")
        if (request.content_length or 0) > limits.file_bytes_max + FORM_BYTES:
            raise Problem(Kind.TOO_LARGE, f"file: it may have {limits.file_bytes_max} bytes")
        try:
            form = _Form(request.headers, request.content)
        except _MALFORMED as error:
            raise _no_form() from error
        upload = cls(form, limits)
        upload._file = await upload._next(name)
        return None if upload._file is None else upload

    @property
    def name(self) -> str:
        """What the file is said to be called; empty where nothing is said."""
        assert self._file is not None
        return self._file.filename or ""

    @property
    def type(self) -> str:
        """What the file is said to be; empty where nothing is said."""
        assert self._file is not None
        return self._file.headers.get("Content-Type", "")

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the file's bytes, then read the rest of the form.

        Raises:
            Problem: `BAD_PARAMETER` where the form is not what it should be, or more than it may be.
        """
        assert self._file is not None
        while chunk := await _read(self._file):
            yield chunk
        if await self._next(None) is not None:
            raise _no_form()

    async def _next(self, wanted: str | None) -> BodyPartReader | None:
        """Read parts into `fields` up to the one that is wanted; None at the end of the form."""
        while True:
            try:
                part = await self._form.next()
            except _MALFORMED as error:
                raise _no_form() from error
            if part is None:
                return None
            self._parts += 1
            if self._parts > self._limits.form_parts_max:
                raise bad("body", f"a form may have {self._limits.form_parts_max} parts")
            if not isinstance(part, BodyPartReader) or not _is_plain(part):
                raise bad("body", "parts of a form are neither encoded nor forms themselves")
            if part.name == wanted:
                return part
            await self._take(part)

    async def _take(self, part: BodyPartReader) -> None:
        most = self._limits.form_part_bytes_max
        data = bytearray()
        while chunk := await _read(part):
            data += chunk
            if len(data) > most:
                raise bad(part.name or "body", f"this part of the form may have {most} bytes")
        self.fields.setdefault(part.name or "", data.decode(errors="replace"))


async def _read(part: BodyPartReader) -> bytes:
    try:
        return await part.read_chunk(CHUNK_BYTES)
    except _MALFORMED as error:
        raise _no_form() from error


def _is_plain(part: BodyPartReader) -> bool:
    headers = ("Content-Transfer-Encoding", "Content-Encoding")
    return all(part.headers.get(header, "").strip().lower() in _PLAIN for header in headers)


def _no_form() -> Problem:
    return bad("body", "it is no form, or not all of it")
