"""Scanners find nothing that is not answered in security/answers.toml, and no answer is left over."""

from __future__ import annotations

import tomllib

import pytest

from security import scan


def test_bandit_finds_nothing_without_an_answer() -> None:
    assert scan.answered("bandit", scan.bandit()) == ([], [])


def test_no_secret_is_in_the_tree() -> None:
    assert scan.answered("secrets", scan.secrets()) == ([], [])


SAMPLES = [
    "-----BEGIN RSA " + "PRIVATE KEY-----", "key = AKIA" + "ABCDEFGHIJKLMNOP", "ghp_" + "a1" * 20,
    "postgres://someone:" + "hunter22secret@db.example/x", 'SECRET_KEY = "' + "a1b2c3d4" * 4 + '"',
]  # fmt: skip


@pytest.mark.parametrize("line", SAMPLES, ids=range(5))
def test_secrets_would_be_found(line: str, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.py").write_text(line)
    monkeypatch.setattr(scan, "PROJECT", tmp_path)
    monkeypatch.setattr(scan, "run", lambda command: type("Done", (), {"stdout": "a.py\n"}))
    assert len(scan.secrets()) == 1


def test_every_rule_of_ours_has_an_example_and_every_answer_a_reason() -> None:
    named = {line.split(": ")[1].split()[0] for line in (scan.HERE / "examples.txt").read_text().splitlines()
             if line.startswith(("#: ", "//: ", "<!--: "))}  # fmt: skip
    assert named == set(scan.rules())
    assert 15 <= len(scan.rules()) <= 25
    answers = tomllib.loads((scan.HERE / "answers.toml").read_text())
    assert all(len(reason) > 5 for tool in answers.values() for reason in tool.values())


@pytest.mark.skipif(not (scan.SCAN_BIN / "semgrep").exists(), reason="script/scan has not installed semgrep")
def test_our_semgrep_rules_find_nothing_but_their_examples() -> None:
    said, found = scan.semgrep_examples()
    assert said <= found
    assert scan.answered("semgrep", scan.semgrep()) == ([], [])
