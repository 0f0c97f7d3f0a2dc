"""POST /token and who a token speaks for (agora.md, Tokens; vendors.md §3.1)."""

from __future__ import annotations

import base64
import hmac
import struct
import zlib

import pytest

from gateway.edge.facades.agora.names import app_uuid, user_uuid, xid_of
from tests.agora.stage import CLIENT_ID, CLIENT_SECRET, VENDOR_APP_ID, VENDOR_CERTIFICATE, Cloud
from tests.rest.stage import Json

SIXTY_DAYS_S = 60 * 24 * 3600


def string(data: bytes) -> bytes:
    return struct.pack("<H", len(data)) + data


def vendor_token(
    issued_s: int,
    lasts_s: int = 600,
    *,
    user: str = "",
    privileges: dict[int, int] | None = None,
    certificate: str = VENDOR_CERTIFICATE,
    app_id: str = VENDOR_APP_ID,
) -> str:
    """Make an AccessToken2 as the vendor's own libraries do (vendors.md §3.1)."""
    privileges = privileges or {1 if user else 2: lasts_s}
    told = b"".join(struct.pack("<HI", kind, lasts) for kind, lasts in privileges.items())
    chat = struct.pack("<HH", 5, len(privileges)) + told + string(user.encode())
    info = string(app_id.encode()) + struct.pack("<IIIH", issued_s, lasts_s, 77, 1) + chat
    key = hmac.digest(struct.pack("<I", issued_s), certificate.encode(), "sha256")
    key = hmac.digest(struct.pack("<I", 77), key, "sha256")
    return "007" + base64.b64encode(zlib.compress(string(hmac.digest(key, info, "sha256")) + info)).decode()


async def ask(cloud: Cloud, token: str = "", **asked: object) -> Json:
    return (await cloud.post("/token", asked, token=token)).told


class TestClient:
    """`client_credentials`."""

    async def test_an_apps_token(self, cloud: Cloud) -> None:
        """Good for sixty days where nobody says; its answer has these members and no others."""
        told = await ask(
            cloud, grant_type="client_credentials", client_id=CLIENT_ID, client_secret=CLIENT_SECRET, ttl=""
        )
        assert set(told) == {"access_token", "expires_in", "application"}
        assert SIXTY_DAYS_S - 60 < told["expires_in"] <= SIXTY_DAYS_S
        app = await cloud.node.gateway.store.app("demo")
        assert app is not None
        assert told["application"] == app_uuid(app)
        assert (await cloud.get("/users", token=told["access_token"])).status == 200

    @pytest.mark.usefixtures("still")
    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize(
        ("ttl", "expires_in"), [(0, 2147483647), ("0", 2147483647), (90, 90), ("90", 90)]
    )
    async def test_how_long(self, cloud: Cloud, ttl: object, expires_in: int) -> None:
        """Seconds, as a number or a string; 0 is for ever."""
        told = await ask(
            cloud, grant_type="client_credentials", client_id=CLIENT_ID, client_secret=CLIENT_SECRET, ttl=ttl
        )
        assert told["expires_in"] == expires_in
        assert (await cloud.get("/users", token=told["access_token"])).status == 200

    @pytest.mark.parametrize(
        ("named", "described"),
        [
            ({"client_id": "other"}, "client_id does not match"),
            ({"client_id": None}, "client_id does not match"),
            ({"client_secret": "other"}, "client_secret does not match"),
            ({"client_secret": ""}, "client_secret does not match"),
        ],
    )
    async def test_who_does_not_match(self, cloud: Cloud, named: Json, described: str) -> None:
        """Is told which of the two."""
        asked = {"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        answer = await cloud.post("/token", {**asked, **named}, token="")
        assert answer.refused(400, "invalid_grant", described)

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize(
        "asked", [{"ttl": -1}, {"ttl": "soon"}, {"grant_type": "magic"}, {"grant_type": None}]
    )
    async def test_what_is_asked_wrongly(self, cloud: Cloud, asked: Json) -> None:
        """Is named."""
        whole = {"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        answer = await cloud.post("/token", {**whole, **asked}, token="")
        assert answer.refused(400, "illegal_argument", next(iter(asked)))


class TestUser:
    """`password` and `inherit`."""

    async def test_by_password(self, cloud: Cloud) -> None:
        """With the user as an entity; the name's case does not matter."""
        await cloud.users("ann")
        told = await ask(cloud, grant_type="password", username="ANN", password="ann")
        assert told["user"]["username"] == "ann"
        assert told["user"]["type"] == "user"
        assert told["user"]["activated"] is True
        mine = await cloud.get("/users/ann", token=told["access_token"])
        assert mine.entities[0]["uuid"] == told["user"]["uuid"]

    @pytest.mark.parametrize(("name", "password"), [("ann", "no"), ("bob", "bob"), ("", ""), ("A b", "x")])
    async def test_a_wrong_one(self, cloud: Cloud, name: str, password: str) -> None:
        """One sentence for a wrong password and for nobody."""
        await cloud.users("ann")
        answer = await cloud.post(
            "/token", {"grant_type": "password", "username": name, "password": password}, token=""
        )
        assert answer.refused(400, "invalid_grant", "invalid username or password")

    async def test_by_the_app(self, cloud: Cloud) -> None:
        """For a user that is there; with `autoCreateUser` for one that comes into being."""
        asked = {"grant_type": "inherit", "username": "neo"}
        assert (await cloud.post("/token", asked)).refused(404, "service_resource_not_found")
        told = await ask(cloud, cloud.token, **asked, autoCreateUser=True)
        assert (await cloud.get("/users/neo", token=told["access_token"])).status == 200
        assert (await cloud.post("/token", asked, token="")).refused(401, "unauthorized")
        assert (await cloud.post("/token", asked, token=told["access_token"])).refused(401, "unauthorized")

    async def test_nobody_comes_into_being_where_users_are_registered(self, strict: Cloud) -> None:
        """`autoCreateUser` is told so; without it, and for what is no name, there is nobody."""
        asked = {"grant_type": "inherit", "username": "neo", "autoCreateUser": True}
        answer = await strict.post("/token", asked)
        assert answer.refused(401, "unauthorized", "registration is not open, please contact the app admin")
        for more in ({"autoCreateUser": False}, {"username": "no name!"}):
            assert (await strict.post("/token", {**asked, **more})).refused(404, "service_resource_not_found")
        assert (await strict.post("/token", {**asked, "username": "ann"})).status == 200


class TestVendors:
    """AccessToken2, exchanged or used as it is."""

    async def test_used_directly(self, cloud: Cloud) -> None:
        """With privilege 2 it is the app's, with privilege 1 a user's, by name or UUID."""
        now_s = cloud.node.gateway.directory._clock_ms() // 1000
        assert (await cloud.get("/users", token=vendor_token(now_s))).status == 200
        await cloud.users("ann")
        theirs = vendor_token(now_s, user="ann")
        [mine] = (await cloud.get("/users/ann", token=theirs)).entities
        assert (await cloud.get("/users/ann", token=vendor_token(now_s, user=mine["uuid"]))).status == 200
        assert (await cloud.get("/users", token=theirs)).refused(
            401, "unauthorized", "Unable to authenticate"
        )

    async def test_exchanged(self, cloud: Cloud) -> None:
        """For one of ours, good as long as that one."""
        now_s = cloud.node.gateway.directory._clock_ms() // 1000
        told = await ask(cloud, vendor_token(now_s, 600), grant_type="agora")
        assert set(told) == {"access_token", "expire_timestamp"}
        assert (now_s + 590) * 1000 < told["expire_timestamp"] <= (now_s + 601) * 1000
        assert (await cloud.get("/users", token=told["access_token"])).status == 200

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize("wrong", ["certificate", "app_id", "cut", "garbage", "privilege", "no_user"])
    async def test_a_forged_one(self, cloud: Cloud, wrong: str) -> None:
        """Is corrupt, whatever is wrong with it."""
        now_s = cloud.node.gateway.directory._clock_ms() // 1000
        token = {
            "certificate": vendor_token(now_s, certificate="0" * 32),
            "app_id": vendor_token(now_s, app_id="a" * 32),
            "cut": vendor_token(now_s)[:-8],
            "garbage": "007AAAA",
            "privilege": vendor_token(now_s, privileges={9: 600}),
            "no_user": vendor_token(now_s, privileges={1: 600}),
        }[wrong]
        told = await cloud.get("/users", token=token)
        assert told.status == 401
        assert told.json["error"] in {"auth_bad_access_token", "unauthorized"}

    async def test_one_that_is_both(self, cloud: Cloud) -> None:
        """Is the app's while that privilege lasts, and the user's after it; exchanged, as long as the one it is."""
        await cloud.users("ann")
        now_s = cloud.node.gateway.directory._clock_ms() // 1000
        both = vendor_token(now_s, user="ann", privileges={1: 600, 2: 300})
        assert (await cloud.get("/users", token=both)).status == 200
        app_s = (await ask(cloud, both, grant_type="agora"))["expire_timestamp"] // 1000 - now_s
        later = vendor_token(now_s - 400, user="ann", privileges={1: 600, 2: 300})
        assert (await cloud.get("/users/ann", token=later)).status == 200
        assert (await cloud.get("/users", token=later)).refused(401, "unauthorized", "Unable to authenticate")
        told = await ask(cloud, later, grant_type="agora")
        user_s = told["expire_timestamp"] // 1000 - now_s
        assert (290 < app_s <= 301, 190 < user_s <= 201) == (True, True)
        assert (await cloud.get("/users", token=told["access_token"])).refused(401, "unauthorized")
        over = vendor_token(now_s - 700, user="ann", privileges={1: 600, 2: 300})
        assert (await cloud.get("/users/ann", token=over)).refused(
            401, "unauthorized", "expired access token"
        )

    @pytest.mark.parametrize("lasts", ["token", "privilege"])
    async def test_one_that_has_expired(self, cloud: Cloud, lasts: str) -> None:
        """Both the token and its privilege have a time."""
        now_s = cloud.node.gateway.directory._clock_ms() // 1000
        token = (
            vendor_token(now_s - 700, 600)
            if lasts == "token"
            else vendor_token(now_s - 700, 7200, privileges={2: 600})
        )
        answer = await cloud.get("/users", token=token)
        assert answer.refused(401, "unauthorized", "due to expired access token")


class TestBearers:
    """What is in `Authorization`."""

    async def test_none(self, cloud: Cloud) -> None:
        """Is as good as one that has expired."""
        assert (await cloud.get("/users", token="")).refused(401, "unauthorized", "expired access token")
        for header in ("Bearer", "Bearer ", "Basic abc"):
            answer = await cloud.get("/users", token="", headers={"Authorization": header})
            assert answer.refused(401, "unauthorized", "expired access token")

    async def test_a_forged_one(self, cloud: Cloud) -> None:
        """Says nothing of why; so does another app's."""
        assert (await cloud.get("/users", token="x.y.z")).refused(401, "auth_bad_access_token", "corrupt")
        await cloud.node.gateway.directory.create_app("other")
        other = (await cloud.node.gateway.directory.token_for("other", None)).token
        assert (await cloud.get("/users", token=other)).refused(401, "auth_bad_access_token", "corrupt")

    async def test_an_unknown_app_is_told_before_the_token(self, cloud: Cloud) -> None:
        """By its name."""
        answer = await cloud.get("/users", base="/nobody/here", token="")
        assert answer.refused(404, "organization_application_not_found", "nobody/here")


def test_uuids_are_made_of_ids_and_back() -> None:
    """Of version 8, those of two apps differ, and nobody else's is read."""
    from gateway.domain.model import SAFE_MAX, App

    def app(name: str) -> App:
        return App(
            id=1, app_id=name, system_id=1, system_xid=1, registered=False, recall_window_ms=0,
            signing_kid="", keys={},
        )  # fmt: skip

    for xid in (1, 118, 10**12, SAFE_MAX):
        told = user_uuid(app("a"), xid)
        assert told[14] == "8"
        assert xid_of(app("a"), told) == xid
        assert xid_of(app("b"), told) is None
    assert xid_of(app("a"), app_uuid(app("a"))) == 0
