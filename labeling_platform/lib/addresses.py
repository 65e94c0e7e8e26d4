"""Internet addresses as the activity log keeps them: the network and not the machine."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network

V4_BITS, V6_BITS = 24, 48


def shortened(address: str) -> str:
    """The address without its last part (IPv4: 8 bits, IPv6: 80), as 203.0.113.0/24; "" for what is no address.

    So much tells one office or provider from another and no longer one person's machine (the usual way to make
    addresses anonymous under GDPR, as web analytics do). A hash would not: all IPv4 addresses are hashed in minutes.
    """
    try:
        found = ip_address(address.strip())
    except ValueError:
        return ""
    if isinstance(found, IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    bits = V4_BITS if found.version == 4 else V6_BITS
    return str(ip_network((int(found), bits) if found.version == 4 else (str(found), bits), strict=False))
