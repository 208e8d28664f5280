"""What every gateway must do, however it is configured."""

import pytest

from tests.gateways.application import Application
from tests.gateways.scene import Header, Scene
from tests.support.processes import wait_until

FORGED = ["X-Auth-User", "x-auth-user", "X-AUTH-USERNAME", "x-Auth-Roles", "X-Auth-Session", "X-Auth-Actor"]
UNDERSCORED = ["X_Auth_User", "x_auth_username", "X_AUTH_ROLES", "X-Auth_Roles", "X_Auth-Session", "X_AUTH_ACTOR"]
FORGERIES: list[Header] = [(name, "forged") for name in [*FORGED, *FORGED, *UNDERSCORED]]
BAD_TOKENS = ["", "Bearer", "Bearer ", "Bearer x", "Bearer a.b.c", "Basic dXNlcjpwYXNz", "Bearer " + "a" * 4000]
PREFLIGHT = [("Origin", "https://app.example.org"), ("Access-Control-Request-Method", "GET")]
ROUNDABOUT = [
    "/app/..%2fadmin",
    "/app/..%2Fadmin/x",
    "/app/%2e%2e/admin",
    "/app/%2E%2E%2Fadmin",
    "/app/../admin",
    "//admin",
    "//admin//x",
    "/./admin",
    "/%61dmin",
    "/admin%2fx",
    "/admin/",
    "/admin/..%2fadmin",
    "/admin/..%2fpublic/x",
    "/admin/../public/x",
    "/admin/%2e%2e/public/x",
    "/public/..%2fadmin",
    "/public/../admin",
    "/public/%2e%2e%2fadmin",
    "/public/..%5cadmin",
    "/public/..\\admin",
    "/public/x/../../admin",
    "/public//..//admin",
    "/public/.%2e/admin",
    "/publicx",
    "/public",
    "/public/%252e%252e/admin",
    "/admin/%252e%252e/public/x",
    "/admin;/../public/x",
    "/public/..;/admin",
]


def leads_to(path: str) -> str:
    """The path as the most obliging application reads it: decoded, slashes merged, before any "..": where it begins."""
    return path.lower().replace("%2f", "/").replace("%61", "a").replace("//", "/").lstrip("/").partition("/")[0]


class Protects:
    """Subclassed by the file of each gateway."""

    def test_the_application_is_told_who_it_is(self, scene: Scene) -> None:
        for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS"):
            reply = scene.ask("/orders/7?page=2", scene.user.bearer, method=method)
            assert reply.identity == scene.user.identity()
            assert reply.arrived is not None
            assert (reply.arrived.method, reply.arrived.path) == (method, "/orders/7")
        assert scene.ask("/", scene.admin.bearer).identity == scene.admin.identity("admin")

    def test_without_a_good_token_nothing_arrives(self, scene: Scene) -> None:
        for value in BAD_TOKENS:
            for path in ("/", "/orders", "/admin"):
                reply = scene.ask(path, *([("Authorization", value)] if value else []))
                assert (reply.status, reply.headers["www-authenticate"][:6]) == (401, "Bearer"), (path, value)
        assert scene.application.arrived == []

    def test_a_missing_role_is_a_403(self, scene: Scene) -> None:
        for path in ("/admin", "/admin/", "/admin/users?page=2"):
            assert scene.ask(path, scene.user.bearer).status == 403
            assert scene.application.arrived == []
            assert scene.ask(path, scene.admin.bearer).identity == scene.admin.identity("admin")
            scene.application.arrived.clear()

    def test_a_clients_query_asks_for_no_less(self, scene: Scene) -> None:
        for query in ("role=user", "role=", "role=admin&role=user", "x=/auth/verify", "?role=user"):
            assert scene.ask(f"/admin?{query}", scene.user.bearer).status == 403, query
        assert scene.application.arrived == []

    @pytest.mark.parametrize("path", ["/orders", "/public/x"])
    def test_a_forged_identity_never_arrives(self, scene: Scene, path: str) -> None:
        is_open = path.startswith("/public")
        truth: dict[str, str] = {} if is_open else scene.user.identity()
        assert scene.ask(path, *FORGERIES, scene.user.bearer).identity == truth
        assert scene.ask(path, scene.user.bearer, *FORGERIES).identity == truth
        for forgery in FORGERIES:
            assert scene.ask(path, scene.user.bearer, forgery).identity == truth, forgery
        for forged in ([], FORGERIES):
            reply = scene.ask(path, *forged)
            assert (reply.identity if is_open else reply.status) == ({} if is_open else 401)
        values = [value for arrived in scene.application.arrived for _, value in arrived.headers]
        assert values
        assert "forged" not in "".join(values)

    def test_a_header_named_in_connection_takes_no_identity_away_and_adds_none(self, scene: Scene) -> None:
        """What `Connection` names is for the next hop alone, and a proxy that minds this may drop its own header for it."""
        for names in ("X-Auth-User, X-Auth-Roles", "x-auth-roles", "Authorization", "X-Auth-User, authorization"):
            named: Header = ("Connection", f"close, {names}")
            for path, role in (("/orders", "user"), ("/admin", "admin")):
                person = scene.admin if role == "admin" else scene.user
                reply = scene.ask(path, person.bearer, named, *FORGERIES)
                assert reply.status in {400, 401} or reply.identity == person.identity(role), names
            assert scene.ask("/admin", scene.user.bearer, named).status in {400, 401, 403}

    def test_two_tokens_are_one_person_or_nobody(self, scene: Scene) -> None:
        for pair in ((scene.user, scene.admin), (scene.admin, scene.user)):
            reply = scene.ask("/admin", *(person.bearer for person in pair))
            assert reply.status in {400, 401, 403} or reply.identity == scene.admin.identity("admin")
            reply = scene.ask("/orders", *(person.bearer for person in pair))
            assert reply.status in {400, 401} or reply.identity in (scene.user.identity(), scene.admin.identity("admin"))

    def test_after_a_logout_the_next_request_is_refused(self, scene: Scene) -> None:
        person = scene.new_person()
        for _ in range(3):
            assert scene.ask("/orders", person.bearer).identity == person.identity()
        scene.logout(person)
        scene.application.arrived.clear()
        assert scene.ask("/orders", person.bearer).status == 401
        assert scene.application.arrived == []

    def test_without_authkeep_nothing_arrives_but_what_is_open(self, scene: Scene) -> None:
        scene.authkeep.kill()
        try:
            for path in ("/orders", "/admin"):
                for headers in ([], [scene.admin.bearer]):
                    assert scene.ask(path, *headers).status >= 500
            assert scene.application.arrived == []
            assert scene.ask("/public/x").identity == {}
        finally:
            scene.authkeep.start().wait_ready()
        assert scene.ask("/orders", scene.user.bearer).identity == scene.user.identity()

    def test_any_other_answer_of_the_check_is_a_refusal(self, scene: Scene, liar: Application) -> None:
        for status in (302, 304, 400, 401, 403, 404, 429, 500, 502, 503):
            liar.answer = status, {"Location": "/public/x", "X-Auth-User": "liar", "Retry-After": "1"}
            for path in ("/orders", "/admin"):
                scene.ask(path, scene.user.bearer, *FORGERIES)
        assert len(liar.arrived) >= 20
        assert scene.application.arrived == []

    def test_an_identity_never_comes_from_the_client(self, scene: Scene, liar: Application) -> None:
        """A 2xx without the headers is not Authkeep's; what the client wrote must not take their place."""
        for status in (200, 204):
            liar.answer = status, {}
            scene.ask("/orders", scene.user.bearer, *FORGERIES)
        assert liar.arrived
        values = {value for arrived in scene.application.arrived for value in arrived.identity().values()}
        assert "forged" not in values

    def test_a_browser_that_is_signed_in_passes_by_its_cookie(self, scene: Scene) -> None:
        cookie = scene.sign_in(scene.user)
        told = scene.ask("/orders", ("Cookie", f"a=b; {cookie}"), *FORGERIES).identity
        assert (told["x-auth-user"], told["x-auth-roles"]) == (scene.user.id, "user")
        assert scene.ask("/admin", ("Cookie", cookie)).status == 403
        for bad in ("authkeep=x", cookie[:-4], "a=b"):
            assert scene.ask("/orders", ("Cookie", bad)).status == 401
        scene.application.arrived.clear()
        assert scene.ask("/orders", ("Cookie", cookie), ("Authorization", "Bearer a.b.c")).status == 401
        assert scene.application.arrived == []

    def test_a_body_goes_to_the_application_and_not_to_the_check(self, scene: Scene, liar: Application) -> None:
        body = b"0123456789" * 20_000
        liar.answer = self.yes, {}
        for sent in (body, [body[:100], body[100:]]):
            reply = scene.ask("/orders", scene.user.bearer, ("Cookie", "a=b"), method="POST", body=sent)
            assert reply.arrived is not None
            assert (reply.arrived.method, reply.arrived.body) == ("POST", len(body))
        assert [checked.body for checked in liar.arrived] == [0, 0]
        for checked in liar.arrived:
            names = [name for name, _ in checked.headers]
            assert ("authorization", scene.user.bearer[1]) in checked.headers
            assert ("cookie", "a=b") in checked.headers
            assert "transfer-encoding" not in names
            assert dict(checked.headers).get("content-length", "0") == "0"

    def test_no_way_round_leads_to_a_path_with_another_rule(self, scene: Scene) -> None:
        """Whatever arrives, begins with what was judged."""
        for path in ROUNDABOUT:
            for who, headers in (("nobody", []), ("user", [scene.user.bearer])):
                scene.application.arrived.clear()
                scene.ask(path, *headers)
                for arrived in scene.application.arrived:
                    first = leads_to(arrived.path)
                    assert first != "admin", (who, path, arrived.path)
                    assert who == "user" or first == "public", (who, path, arrived.path)
                    assert ".." not in arrived.path.replace("..;", ""), (who, path, arrived.path)

    def test_head_and_preflights_need_a_token_as_well(self, scene: Scene) -> None:
        assert scene.ask("/orders", method="HEAD").status == 401
        for path in ("/orders", "/admin"):
            assert scene.ask(path, *PREFLIGHT, method="OPTIONS").status == 401
        assert scene.application.arrived == []
        assert scene.ask("/orders", scene.user.bearer, method="HEAD").status == 200
        assert [(each.method, each.identity()) for each in scene.application.arrived] == [("HEAD", scene.user.identity())]

    def test_authkeep_learns_the_address_of_the_client(self, scene: Scene) -> None:
        person = scene.new_person()
        reply = scene.ask("/orders", person.bearer, ("X-Forwarded-For", "203.0.113.9"), source="127.0.0.2")
        assert reply.identity == person.identity()

        def is_told() -> bool:
            addressed = [line for line in scene.authkeep.logs().splitlines() if "address=127.0.0.2" in line]
            return any("/auth/verify" in line for line in addressed)

        wait_until(is_told, "a line of the access log with the address")  # written after the answer

    yes = 204  # what the check says to let a request pass
