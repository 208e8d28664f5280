"""A MaxMind database of one network, written by its specification (version 2.0): the smallest that readers take."""

import ipaddress
from pathlib import Path
from typing import Any

RECORD = {
    "city": {"names": {"en": "Berlin"}},
    "country": {"iso_code": "DE", "names": {"en": "Germany", "de": "Deutschland"}},
}


def write_mmdb(path: Path, network: str = "127.0.0.0/8", record: dict[str, Any] = RECORD) -> Path:
    """Such a file, in which every other address is unknown."""
    parsed = ipaddress.IPv4Network(network)
    count, bits = parsed.prefixlen, int(parsed.network_address)
    tree = b""
    for depth in range(count):
        onward = depth + 1 if depth + 1 < count else count + 16  # the data begin 16 zeros behind the tree
        taken = bits >> (31 - depth) & 1
        pair = [count, count]  # not found
        pair[taken] = onward
        tree += b"".join(value.to_bytes(3, "big") for value in pair)
    metadata = {
        "binary_format_major_version": 2,
        "binary_format_minor_version": 0,
        "build_epoch": 1_700_000_000,
        "database_type": "Test",
        "ip_version": 4,
        "node_count": count,
        "record_size": 24,
        "languages": ["en"],
        "description": {"en": "of one network"},
    }
    path.write_bytes(tree + bytes(16) + _encoded(record) + b"\xab\xcd\xefMaxMind.com" + _encoded(metadata))
    return path


def _encoded(value: Any) -> bytes:
    if isinstance(value, str):
        raw = value.encode()
        assert len(raw) < 29
        return bytes([2 << 5 | len(raw)]) + raw
    if isinstance(value, int):
        raw = value.to_bytes((value.bit_length() + 7) // 8, "big")
        return bytes([6 << 5 | len(raw)]) + raw
    if isinstance(value, dict):
        return bytes([7 << 5 | len(value)]) + b"".join(_encoded(key) + _encoded(each) for key, each in value.items())
    return bytes([len(value), 11 - 7]) + b"".join(map(_encoded, value))
