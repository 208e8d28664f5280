"""The client a request comes from: its address by the one rule there is, its user agent, the request's id."""

import ipaddress
import uuid
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, NamedTuple

from fastapi import Depends, Request
from starlette.types import Scope

from app.sections import Network

CLIENT = "authkeep.client"  # key in the ASGI scope
MAX_USER_AGENT = 256


class Client(NamedTuple):
    """Where a request comes from. Nothing here but `impersonator` is proof of anything."""

    address: str
    user_agent: str
    request_id: str
    impersonator: uuid.UUID | None = None  # who really acts, where a session is somebody's who acts as another

    @property
    def network(self) -> str:
        """What limits count by: the address itself, of IPv6 its /64 (one customer has a whole one)."""
        return _network(self.address, 32, 64)

    @property
    def neighbourhood(self) -> str:
        """What counts as the same place for a moment: /24 of IPv4, /48 of IPv6 (DESIGN section 3)."""
        return _network(self.address, 24, 48)


@lru_cache(4096)
def _network(address: str, v4_bits: int, v6_bits: int) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    bits = v4_bits if parsed.version == 4 else v6_bits
    return str(ipaddress.ip_network(f"{parsed}/{bits}", strict=False))


def is_trusted(scope: Scope, trusted: Sequence[Network]) -> bool:
    """Whether the other end of the connection is one that may speak for others."""
    return bool(trusted) and scope.get("client") is not None and _is_in(scope["client"][0], trusted)


def read_client(scope: Scope, trusted: Sequence[Network], request_id: str) -> Client:
    """The client of a connection.

    X-Forwarded-For is read from the right, and only while the hop that said so is in `trusted`; so the first address
    that nobody trusted vouches for is the client's, whatever it wrote into the header itself.
    """
    peer = scope["client"][0] if scope.get("client") else ""
    agent = b""
    forwarded: list[bytes] = []
    for name, value in scope["headers"]:
        if name == b"user-agent":
            agent = value
        elif name == b"x-forwarded-for":
            forwarded.append(value)
    address = _forwarded(peer, forwarded, trusted) if forwarded and trusted else peer
    return Client(address, _user_agent(agent[:1024]), request_id)


@lru_cache(256)
def _user_agent(agent: bytes) -> str:
    said = agent.decode("utf-8", "replace")
    return "".join(char for char in said if char.isprintable())[:MAX_USER_AGENT]


def _forwarded(peer: str, headers: list[bytes], trusted: Sequence[Network]) -> str:
    address = peer
    for raw in reversed(b",".join(headers).split(b",")):
        if not _is_in(address, trusted):
            return address
        hop = _parse_hop(raw.decode("latin-1").strip())
        if hop is None:
            return address
        address = hop
    return address


def _parse_hop(text: str) -> str | None:
    host = text[1:].partition("]")[0] if text.startswith("[") else text
    if "%" in host:  # a zone (RFC 4007) means something on one machine only, and may be any text
        return None
    if host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return None


def _is_in(address: str, networks: Sequence[Network]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return any(parsed.version == network.version and parsed in network for network in networks)


def client_of(request: Request) -> Client:
    """The client that the envelope read when the request came in."""
    client: Client = request.scope[CLIENT]
    return client


async def _client(request: Request) -> Client:
    return client_of(request)


ClientOf = Annotated[Client, Depends(_client)]
