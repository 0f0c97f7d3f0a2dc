"""Fetching files: from public addresses, and from no others, whatever names and redirects say."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import Limits
from gateway.outlet.fetch import REDIRECTS_MAX, PublicFetcher, is_public_address
from tests.patience import patient

HERE, THERE = "127.0.0.1", "127.0.0.2"
"""In these tests the first one counts as public."""


class Site:
    """A server at both addresses, that answers as a test says."""

    def __init__(self) -> None:
        self.answer: Callable[[web.Request], Awaitable[web.StreamResponse]] = self.hello
        self.asked: list[str] = []
        self.port = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(f"{request.host.partition(':')[0]}{request.path}")
        return await self.answer(request)

    async def hello(self, _: web.Request) -> web.StreamResponse:
        return web.Response(body=b"hello", content_type="image/png")

    def url(self, path: str = "/a.png", host: str = HERE) -> str:
        return f"http://{host}:{self.port}{path}"


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made = Site()
    app = web.Application()
    app.router.add_get("/{path:.*}", made.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    first = web.TCPSite(runner, HERE, 0)
    await first.start()
    made.port = runner.addresses[0][1]
    await web.TCPSite(runner, THERE, made.port).start()
    yield made
    await runner.cleanup()


def fetcher(**limits: int) -> PublicFetcher:
    return PublicFetcher(patient(Limits(**limits)), lambda address: address == HERE)


async def fetch(url: str, by: PublicFetcher | None = None) -> tuple[str, str, bytes]:
    async with (by or fetcher()).fetch(url) as found:
        return found.name, found.type, b"".join([chunk async for chunk in found.chunks])


async def refusal(url: str, by: PublicFetcher | None = None) -> str:
    with pytest.raises(Problem) as caught:
        await fetch(url, by)
    assert caught.value.kind is Kind.BAD_PARAMETER
    return caught.value.sentence


async def test_what_is_there(site: Site) -> None:
    """Its bytes, its type, and what its URL ends with."""
    assert await fetch(site.url("/files/a%20b.png?x=1")) == ("a b.png", "image/png", b"hello")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_followed(site: Site, status: int) -> None:
    """From one to the next."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/end":
            return await site.hello(request)
        return web.Response(
            status=status, headers={"Location": "/end" if request.path == "/two" else site.url("/two")}
        )

    site.answer = answer
    assert (await fetch(site.url("/one")))[0::2] == ("end", b"hello")
    assert site.asked == [f"{HERE}/one", f"{HERE}/two", f"{HERE}/end"]


async def test_redirects_have_an_end(site: Site) -> None:
    """After some of them it is enough."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": "/again"})

    site.answer = answer
    assert "redirected" in await refusal(site.url())
    assert len(site.asked) == REDIRECTS_MAX + 1


@pytest.mark.parametrize("host", [THERE, "2130706434", "0x7f.0.0.2", "127.2"])
async def test_an_address_that_is_not_public(site: Site, host: str) -> None:
    """Is not connected to, however it is written."""
    assert await refusal(site.url(host=host)) == "url: it could not be fetched"
    assert site.asked == []


async def test_a_redirect_to_one(site: Site) -> None:
    """Is not followed."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": site.url(host=THERE)})

    site.answer = answer
    assert await refusal(site.url()) == "url: it could not be fetched"
    assert site.asked == [f"{HERE}/a.png"]


async def test_a_name_that_leads_to_one(site: Site) -> None:
    """What a name says counts when it is connected to, not before."""
    by = PublicFetcher(patient(Limits()))
    assert await refusal(site.url(host="localhost"), by) == "url: it could not be fetched"
    assert site.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "file:///etc/passwd",
        "ftp://example.org/a",
        "http://",
        "http://user:password@example.org/a",
        "http://[::1",
        "gopher://example.org",
    ],
)
async def test_what_is_no_url(url: str) -> None:
    """Or one of something else."""
    assert (await refusal(url)).startswith("url: it ")


@pytest.mark.parametrize("location", ["file:///etc/passwd", "http://[::1"])
async def test_a_redirect_to_what_is_none(site: Site, location: str) -> None:
    """Is refused likewise."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": location})

    site.answer = answer
    assert (await refusal(site.url())).startswith("url: it ")


@pytest.mark.parametrize("status", [204, 206, 304, 401, 404, 500])
async def test_other_answers(site: Site, status: int) -> None:
    """Are told by their status."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status)

    site.answer = answer
    assert await refusal(site.url()) == f"url: it was answered with HTTP status {status}"


async def test_it_has_so_much_time(site: Site) -> None:
    """From the first word to the last byte."""
    gone = asyncio.Event()

    async def silent(_: web.Request) -> web.StreamResponse:
        await gone.wait()
        return web.Response()

    async def dripping(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"x")
        await gone.wait()
        return response

    for way in (silent, dripping):
        site.answer = way
        assert (
            await refusal(site.url(), fetcher(fetch_timeout_ms=200)) == "url: it could not be fetched in time"
        )
    gone.set()


async def test_one_that_is_cut(site: Site) -> None:
    """Is not taken for all there is."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = 100
        await response.prepare(request)
        await response.write(b"x" * 50)
        assert request.transport is not None
        request.transport.close()
        return response

    site.answer = answer
    assert await refusal(site.url()) == "url: it could not be fetched"


async def test_nothing_is_unpacked(site: Site) -> None:
    """It is kept as it came, whatever it would be."""
    packed = gzip.compress(bytes(1_000_000))

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.headers["Accept-Encoding"] == "identity"
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    site.answer = answer
    assert (await fetch(site.url()))[2] == packed


async def test_not_all_at_once(site: Site) -> None:
    """Past the bound the caller comes back later."""
    by = fetcher(fetches_max=1)
    async with by.fetch(site.url()):
        with pytest.raises(Problem) as caught:
            await fetch(site.url(), by)
    assert caught.value.kind is Kind.OVERLOADED
    assert (await fetch(site.url(), by))[2] == b"hello"


async def test_what_its_reader_raises_comes_out(site: Site) -> None:
    """It is nobody else's."""
    with pytest.raises(LookupError):
        async with fetcher().fetch(site.url()):
            raise LookupError
    with pytest.raises(TimeoutError):
        async with fetcher().fetch(site.url()):
            raise TimeoutError


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::5db8:d822", True),
        ("127.0.0.1", False),
        ("0.0.0.0", False),  # noqa: S104 - nothing is bound to it
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("192.0.2.1", False),
        ("224.0.0.1", False),
        ("239.1.2.3", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("fec0::1", False),
        ("ff0e::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:169.254.169.254", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("64:ff9b:1::7f00:1", False),
        ("::127.0.0.1", False),
        ("::ffff:0:127.0.0.1", False),
        ("2002:7f00:1::1", False),
        ("2001:0:4136:e378::1", False),
        ("2001:db8::1", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    """Those that are the same one wherever one stands, and lead nowhere else."""
    assert is_public_address(address) is public
