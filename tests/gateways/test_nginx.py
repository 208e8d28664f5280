"""deploy/gateways/nginx, run by nginx."""

from tests.gateways.checks import Protects
from tests.gateways.gateways import NGINX, needs
from tests.gateways.scene import Scene

GATEWAY = NGINX
needs(NGINX)


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
