"""deploy/gateways/envoy, run by Envoy."""

from tests.gateways.checks import Protects
from tests.gateways.gateways import ENVOY, needs

GATEWAY = ENVOY
needs(ENVOY)


class TestEnvoy(Protects):
    yes = 200
