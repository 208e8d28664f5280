"""Which addresses of the internet may be called on somebody's word (SSRF, ASVS V1.3.6): those of the public internet alone."""

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# What `is_global` of some Python says yes to, or what hides another address in itself.
NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in (
        "192.0.0.0/24",  # of the IETF's own (RFC 6890)
        "192.88.99.0/24",  # relays of 6to4 (RFC 7526)
        "2001::/23",  # of the IETF's own, Teredo among them: addresses within addresses (RFC 4380)
        "2002::/16",  # 6to4: an IPv4 address within (RFC 3056)
        "3fff::/20",  # documentation (RFC 9637)
    )
)
UNICAST = ipaddress.ip_network("2000::/3")  # all of IPv6 that is routed (RFC 4291 section 2.4)
NAT64 = ipaddress.ip_network("64:ff9b::/96")  # an IPv4 address within (RFC 6052)


def is_public(address: Address) -> bool:
    """Whether an address is one of the public internet, by itself and by any that it stands for."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return False
        within = _within(address)
        if within is not None:
            return is_public(within)
        if address not in UNICAST:
            return False
    odd = address.is_multicast or address.is_reserved or address.is_unspecified or address.is_loopback or address.is_link_local
    return address.is_global and not odd and not any(address in network for network in NOT_PUBLIC)


def is_loopback(address: Address) -> bool:
    """Whether an address is this very machine, however it is written."""
    within = _within(address) if isinstance(address, ipaddress.IPv6Address) else None
    return (within or address).is_loopback


def _within(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF) if address in NAT64 else None
