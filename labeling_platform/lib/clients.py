"""Who asks: the address of the client, seen through the proxies that are trusted."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest

Address = IPv4Address | IPv6Address


def client_address(request: HttpRequest) -> str | None:
    """The address that the request comes from; None when the server does not know it.

    X-Forwarded-For counts only when the request comes from an address in the setting TRUSTED_PROXIES (addresses or
    networks). It is read from the right, over the trusted proxies, to the first address that is not one of them:
    what stands further left was written by the client and can be anything.
    """
    address = _parsed(request.META.get("REMOTE_ADDR", ""))
    if address is None:
        return None
    for part in reversed(request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")):
        if not _is_trusted(address):
            break
        earlier = _parsed(part)
        if earlier is None:
            break
        address = earlier
    return str(address)


def _parsed(text: str) -> Address | None:
    try:
        address = ip_address(text.strip())
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_trusted(address: Address) -> bool:
    return any(address in ip_network(proxy, strict=False) for proxy in settings.TRUSTED_PROXIES)
