"""deploy/gateways/nginx, run by nginx; and the same with a line taken away, which the checks must notice."""

import dataclasses
import re
from pathlib import Path

import pytest

from tests.gateways.checks import Protects
from tests.gateways.gateways import NGINX, Gateway, Ports, needs
from tests.gateways.scene import Scene
from tests.support.processes import free_port

GATEWAY = NGINX
needs(NGINX)

CACHE = """
        proxy_cache checks;
        proxy_cache_key $http_authorization;
        proxy_cache_valid 204 10m;
        proxy_ignore_headers Cache-Control;
        internal;"""
OWN_HEADERS = "auth_request off; proxy_set_header Host $host; "
FORGED = "test_a_forged_identity_never_arrives"
BROKEN = {
    "a header is not overwritten": (r"proxy_set_header X-Auth-Roles .*", "", FORGED, "/orders"),
    "an open path has headers of its own": (r"auth_request off;\s+(?=proxy_pass)", OWN_HEADERS, FORGED, "/public/x"),
    "underscores pass": ("underscores_in_headers off", "underscores_in_headers on", FORGED, "/orders"),
    "no role is asked for": (r"\?role=admin", "", "test_a_missing_role_is_a_403"),
    "the path goes on as it came": (
        r"http://application/[\w/]*;",
        "http://application;",
        "test_no_way_round_leads_to_a_path_with_another_rule",
    ),
    "the check gets no cookie": (
        r"proxy_set_header Cookie .*",
        "",
        "test_a_browser_that_is_signed_in_passes_by_its_cookie",
    ),
    "the body goes to the check": (
        'proxy_pass_request_body off;|proxy_set_header Content-Length "";',
        "",
        "test_a_body_goes_to_the_application_and_not_to_the_check",
        "liar",
    ),
    "the check's answers are cached": (
        r"\n        internal;(?=\s+auth_request off)",
        CACHE,
        "test_after_a_logout_the_next_request_is_refused",
    ),
}


class TestNginx(Protects):
    def test_a_check_that_fails_is_a_503_with_retry_after(self, scene: Scene) -> None:
        scene.authkeep.kill()
        try:
            reply = scene.ask("/orders", scene.user.bearer)
            assert (reply.status, reply.headers["retry-after"]) == (503, "1")
        finally:
            scene.authkeep.start().wait_ready()

    def test_the_locations_of_the_check_are_nobodys_to_call(self, scene: Scene) -> None:
        for path in ("/_authkeep/user", "/_authkeep/admin", "/_authkeep/", "/_authkeep/x", "//_authkeep/%75ser"):
            assert scene.ask(path, scene.admin.bearer).status == 404, path
        assert scene.application.arrived == []


@pytest.mark.parametrize("how", BROKEN)
def test_the_checks_notice_a_gateway_that_is_broken(
    request: pytest.FixtureRequest, scene: Scene, tmp_path: Path, how: str
) -> None:
    before, after, check, *more = BROKEN[how]

    def write(folder: Path, ports: Ports) -> list[str]:
        command = NGINX.write(folder, ports)
        example, main = folder / "authkeep.conf", folder / "nginx.conf"
        text, count = re.subn(before, lambda _: after, example.read_text())
        assert count
        example.write_text(text)
        main.write_text(
            main.read_text().replace("access_log off;", "access_log off; proxy_cache_path cache keys_zone=checks:1m;")
        )
        return command

    ports = dataclasses.replace(scene.ports, gateway=free_port())
    arguments = [request.getfixturevalue(each) if each == "liar" else each for each in more]
    with Gateway("broken", "nginx", write).running(tmp_path, ports), pytest.raises(AssertionError):
        getattr(Protects(), check)(dataclasses.replace(scene, ports=ports), *arguments)
