"""deploy/gateways/caddy, run by Caddy."""

from tests.gateways.checks import Protects
from tests.gateways.gateways import CADDY, needs

GATEWAY = CADDY
needs(CADDY)


class TestCaddy(Protects):
    pass
