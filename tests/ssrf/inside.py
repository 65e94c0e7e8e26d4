"""Run by test_ssrf.py in a network namespace: the system's own resolver, real addresses, nothing replaced.

Every address that an attack is after is an address of this namespace, and a host listens on it: what gets through
is seen. Prints the code of every case and the addresses that were connected to, as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from labeling_platform.lib import images
from labeling_platform.lib.images import FetchError, FetchPolicy, fetch_image

from .cases import CASES, INNER, INNER_SIX, PUBLIC, PUBLIC_SIX
from .internet import A, Host, Names, Web, certificate, server_context


def set_up(folder: Path) -> Names:
    """Addresses, the resolver's file, DNS, hosts on the ports 80, 443, 22, 6379, 8000."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for address in (PUBLIC, *INNER[1:]):
        subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
    for address in (PUBLIC_SIX, *INNER_SIX[1:]):
        subprocess.run(["ip", "-6", "address", "add", f"{address}/128", "dev", "lo"], check=True)
    (folder / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    subprocess.run(["mount", "--bind", str(folder / "resolv.conf"), "/etc/resolv.conf"], check=True)
    paths = certificate(folder, "public.test")
    os.environ["SSL_CERT_FILE"] = str(paths[0])
    context = server_context(paths)
    for port in (80, 443, 22, 6379, 8000):
        Web("::", port, context if port == 443 else None)  # of both families
    names = Names("127.0.0.1", 53)
    names.start()
    return names


def code_of(url: str) -> str:
    images._kept.connections.clear()
    try:
        fetch_image(url, FetchPolicy(total_timeout=8.0))
    except FetchError as error:
        return error.code
    return "ok"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        names = set_up(Path(folder))
        codes = [code_of(url) for url, _ in CASES]
        reached = sorted({address for address, _ in Host.seen})
        asked = names.asked["rebind.test", A]
        Host.seen.clear()
        naive = 0
        for url, _ in CASES:
            naive += fetched_without_care(url)
        inner = sorted({address for address, _ in Host.seen} - {PUBLIC, PUBLIC_SIX})
        json.dump(
            {"codes": codes, "reached": reached, "asked": asked, "naive": naive, "naive_inner": inner}, sys.stdout
        )


def fetched_without_care(url: str) -> bool:
    """Whether a client without any rules gets an answer from there: what the rules keep away."""
    import urllib3

    try:
        urllib3.PoolManager(retries=urllib3.Retry(0, redirect=4), timeout=1).request("GET", url)
    except Exception:
        return False
    return True


if __name__ == "__main__":
    main()
