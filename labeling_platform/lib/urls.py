"""Which addresses the image fetcher may talk to. No input or output: pure rules.

The attacks these answer are listed in reference/reliability.md C1.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urlsplit

MAX_URL = 2048
DEFAULT_PORTS = {"http": 80, "https": 443}
IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

NEVER_V4 = [
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
        "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
        "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    )
]  # fmt: skip
GLOBAL_V6 = ipaddress.ip_network("2000::/3")
NEVER_V6 = [ipaddress.ip_network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")]
STAYS = "".join(map(chr, range(0x21, 0x7F)))
"""What of a path is sent as it is written; the rest (letters outside ASCII) goes as browsers send it."""

UNUSABLE = re.compile(r"[\x00-\x20\\\x7f]")
HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?:\.(?!-)[A-Za-z0-9_-]{1,63})*\.?")
ORDINARY = re.compile(r"https?://(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}/[!-\[\]-~]*")
"""Most addresses: a name that ends in letters, no port, printable ASCII. They pass every rule about spelling."""

LOOKS_NUMERIC = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)(?:\.(?:0x[0-9a-f]*|[0-9]+))*\.?", re.IGNORECASE)
PLAIN_V4 = re.compile(r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.|$)){4}")


class UrlRefused(ValueError):
    """The URL cannot be used. `code` is url_invalid, scheme_not_allowed or address_refused."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass(frozen=True)
class Allowance:
    """One entry of IMAGE_FETCH_ALLOW: a host name or a network, with a port or for any port."""

    host: str
    network: IpNetwork | None
    port: int | None


@dataclass(frozen=True)
class Target:
    """A URL taken apart once; everything later works on these parts and never parses again."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def says_where(self) -> bool:
        """Whether the host is an address itself (or this machine's own name), so that there is nothing to look up."""
        numbers = ":" in self.host or LOOKS_NUMERIC.fullmatch(self.host) is not None
        return numbers or self.host == "localhost" or self.host.endswith(".localhost")


def parse_allowances(entries: tuple[str, ...]) -> tuple[Allowance, ...]:
    """Read entries like `img.example`, `img.example:8080`, `10.0.0.0/8`, `127.0.0.1:9000`, `[::1]:80`."""
    return tuple(_allowance(entry.strip()) for entry in entries if entry.strip())


def _allowance(entry: str) -> Allowance:
    host, port = entry, None
    if entry.startswith("["):
        host, _, rest = entry[1:].partition("]")
        port = int(rest[1:]) if rest.startswith(":") else None
    elif entry.count(":") == 1:
        host, _, text = entry.partition(":")
        port = int(text)
    try:
        return Allowance(host.lower(), ipaddress.ip_network(host, strict=False), port)
    except ValueError:
        return Allowance(host.lower(), None, port)


def split_url(url: str) -> SplitResult:
    """Check syntax and scheme only (for uploads). Raises UrlRefused."""
    if not url:
        raise UrlRefused("url_invalid", "There is no URL in image_url.")
    if len(url) > MAX_URL:
        raise UrlRefused("url_invalid", f"The URL has more than {MAX_URL} characters.")
    if UNUSABLE.search(url):
        raise UrlRefused("url_invalid", "The URL contains a space, a backslash or a control character.")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise UrlRefused("url_invalid", "This is not a URL that can be read.") from error
    scheme = parts.scheme.lower()
    if scheme not in {"http", "https", "s3"}:
        raise UrlRefused("scheme_not_allowed", "The URL must begin with http://, https:// or s3://.")
    if not parts.hostname:
        raise UrlRefused("url_invalid", "The URL names no host.")
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise UrlRefused("url_invalid", "The URL contains a user name or password; remove it.")
    return parts


def _is_v6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True


def parse_target(url: str) -> Target:
    """Take an http(s) URL apart. Raises UrlRefused for what no picture needs and attackers use."""
    parts = split_url(url)
    if parts.scheme.lower() not in DEFAULT_PORTS:  # a redirect to s3://
        raise UrlRefused("scheme_not_allowed", "The URL must begin with http:// or https://.")
    return target_of(parts)


def bucket_and_key(url: str) -> tuple[str, str]:
    """Take an s3:// URL apart. Raises UrlRefused when it names no object, or one by steps like `..`."""
    bucket, _, key = url[len("s3://") :].partition("/")
    if not key or {".", ".."} & set(key.split("/")):
        raise UrlRefused("url_invalid", "The URL must name one object: s3://bucket/key, without “.” and “..”.")
    return bucket, key


def target_of(parts: SplitResult) -> Target:
    """The same for what split_url returned."""
    host = (parts.hostname or "").rstrip(".").lower()
    if not host.isascii():
        raise UrlRefused("url_invalid", "The host name has letters outside ASCII; write it in its xn-- form.")
    if "[" in parts.netloc or ":" in host:
        if not _is_v6(host.partition("%")[0]):
            raise UrlRefused("url_invalid", "The host name is not valid.")
        if "%" in host:
            raise UrlRefused("address_refused", REFUSED_ADDRESS)
    elif LOOKS_NUMERIC.fullmatch(host):
        if not PLAIN_V4.fullmatch(host):
            raise UrlRefused("address_refused", REFUSED_ADDRESS)
    elif not HOST_NAME.fullmatch(host):
        raise UrlRefused("url_invalid", "The host name is not valid.")
    port = parts.port if parts.port is not None else DEFAULT_PORTS[parts.scheme.lower()]
    path = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=STAYS)
    return Target(parts.scheme.lower(), host, port, path)


REFUSED_ADDRESS = "Pictures may not be fetched from this address."


def is_public(address: IpAddress) -> bool:
    """Whether an address is one of the open internet (python's is_private alone lets several through)."""
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in NEVER_V4)
    if address.ipv4_mapped is not None or address.scope_id is not None:
        return False
    return address in GLOBAL_V6 and not any(address in network for network in NEVER_V6)


def may_use_port(target: Target, allowed: tuple[Allowance, ...]) -> bool:
    """Whether any host may be asked on this port: the usual one of the scheme, or one that an allowance opens."""
    return target.port == DEFAULT_PORTS[target.scheme] or any(entry.port in {None, target.port} for entry in allowed)


def may_connect(target: Target, address: IpAddress, allowed: tuple[Allowance, ...]) -> bool:
    """Whether a connection to this address for this target is allowed: public on the usual port, or allow-listed."""
    for entry in allowed:
        if entry.port is not None and entry.port != target.port:
            continue
        if entry.host == target.host or (entry.network is not None and address in entry.network):
            return True
    return is_public(address) and target.port == DEFAULT_PORTS[target.scheme]
