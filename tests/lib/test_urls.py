"""The quick way through the rules for addresses lets nothing through that the rules refuse."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling_platform.lib.urls import MAX_URL, ORDINARY, split_url, target_of


@given(st.from_regex(ORDINARY, fullmatch=True).filter(lambda url: len(url) <= MAX_URL))
def test_an_ordinary_address_passes_every_rule(url: str) -> None:
    target = target_of(split_url(url))
    assert url.split("/")[2] == target.host
    assert target.port in {80, 443}


@pytest.mark.parametrize(
    "url",
    [
        "https://pictures.example",
        "https://pictures.example:8443/1.jpg",
        "https://user@pictures.example/1.jpg",
        "https://127.0.0.1/1.jpg",
        "https://0x7f.1/1.jpg",
        "https://[::1]/1.jpg",
        "https://pictures.example/a b.jpg",
        "https://pictures.example/a\\b.jpg",
        "https://pictures.example/ä.jpg",
        "https://-a.example/1.jpg",
        "ftp://pictures.example/1.jpg",
        "https://localhost/1.jpg",
        "HTTPS://pictures.example/1.jpg",
    ],
)
def test_all_others_take_the_long_way(url: str) -> None:
    assert ORDINARY.fullmatch(url) is None
