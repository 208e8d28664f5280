"""deploy/gateways/traefik, run by Traefik."""

from tests.gateways.checks import Protects
from tests.gateways.gateways import TRAEFIK, needs

GATEWAY = TRAEFIK
needs(TRAEFIK)


class TestTraefik(Protects):
    pass
