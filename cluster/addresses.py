"""The address by which other nodes reach this one."""

from __future__ import annotations

import socket

import psutil

from storage.errors import ConfigError


def own_address(interface: str = "") -> tuple[str, str]:
    """(IPv4 address, interface) of this node: the configured interface's, else what its name resolves to.

    Some nodes resolve their own name to 127.0.1.1; then the first interface that is up is taken.

    Raises ConfigError where the interface is not there or has no address.
    """
    found = _addresses()
    if interface:
        for address, name in found:
            if name == interface:
                return address, name
        there = ", ".join(f"{name} ({address})" for address, name in found)
        raise ConfigError(
            f"cluster.interface={interface} has no IPv4 address on {socket.gethostname()}, "
            f"which has {there or 'none'}; name one that every node has."
        )
    reachable = [one for one in found if not one[0].startswith("127.")]
    try:
        resolved = socket.gethostbyname(socket.gethostname())
    except OSError:
        resolved = ""
    named = [one for one in reachable if one[0] == resolved]
    # A laptop without network still has its loopback.
    return (named or reachable or found)[0]


def interfaces() -> list[str]:
    """Those that are up and have an IPv4 address."""
    return list(dict.fromkeys(name for _, name in _addresses()))


def _addresses() -> list[tuple[str, str]]:
    up = {name for name, state in psutil.net_if_stats().items() if state.isup}
    return [
        (address.address, name)
        for name, addresses in psutil.net_if_addrs().items()
        for address in addresses
        if name in up and address.family == socket.AF_INET
    ]
