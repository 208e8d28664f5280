"""Which addresses an endpoint may have: https to the public internet; where a setting says so, this machine too."""

import ipaddress
from urllib.parse import urlsplit

from app.core.errors import FieldError, Invalid
from app.core.ports import Outbound, OutboundRefused

MOST_CHARACTERS = 2048
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class DestinationRefused(Invalid):
    """Nobody may be called there; which addresses a name has within our network is not told."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(errors=[FieldError(("body", "url"), code, detail)])


async def check(outbound: Outbound, url: str, *, loopback: bool) -> None:
    """See that it is an address that may be called, now at least. It takes up to three seconds: not within a transaction.

    Raises:
        DestinationRefused: see there.
    """
    if not _is_well_formed(url, loopback=loopback):
        raise DestinationRefused("url_invalid", "Give an https address, without user, password or fragment")
    try:
        await outbound.check(url)
    except (OutboundRefused, ConnectionError, TimeoutError):
        raise DestinationRefused("url_refused", "The address does not lead to a host of the public internet") from None


def _is_well_formed(url: str, *, loopback: bool) -> bool:
    if len(url) > MOST_CHARACTERS or not url.isascii() or not url.isprintable() or set(' "<>\\^`{|}#') & set(url):
        return False
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    # A certificate names no host with a dot behind it.
    if not host or host.endswith(".") or "@" in parts.netloc or port == 0 or "%" in host:
        return False
    return parts.scheme == "https" or (loopback and parts.scheme == "http" and _is_loopback(host))


def origin_of(url: str) -> str:
    """Scheme, host and port: what of an address holds no secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _is_loopback(host: str) -> bool:
    if host in LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
