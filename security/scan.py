"""Scanners over the tree and over a running server. Usage: script/scan [bandit|semgrep|secrets|audit|wapiti] ...

Without names: all that need no running server. Every finding is either answered in security/answers.toml or makes
the exit code 1. `audit` says when no source of advisories can be reached, and is not green then; only with
`audit --lenient` (for machines without a network) does that not fail.
wapiti: script/scan wapiti http://127.0.0.1:8000 owner@demo.example PASSWORD [SECONDS [pages|account|console]], or
script/scan wapiti http://127.0.0.1:8000 api TOKEN SECONDS api
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

from .crawl import crawl, findings, sign_in

PROJECT = Path(__file__).resolve().parent.parent
HERE = PROJECT / "security"
BIN, SCAN_BIN = PROJECT / ".venv" / "bin", PROJECT / ".venv-scan" / "bin"
PRODUCT = ["labeling_platform", "models_app", "jobs_app", "workflows_app", "reports_app"]
ENDS = {"python": ".py", "javascript": ".js", "html": ".html"}
SECRETS = {
    "private key": r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----",
    "access key of AWS": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "token of GitHub": r"\b(?:ghp|gho|ghs|github_pat)_[A-Za-z0-9_]{30,}",
    "token of Slack": r"\bxox[abprs]-[A-Za-z0-9-]{20,}",
    "JSON web token": r"\beyJ[A-Za-z0-9_-]{20,}\.eyJ[A-Za-z0-9_-]{20,}\.",
    "password in an address": r"[a-z][a-z0-9+]*://[^\s:/@\"'{}$<>]+:(?!change-me|password|word|pw|x@|secret|p@)"
    r"[^\s:/@\"'{}$<>]{6,}@",
    "secret in a line": r"(?i)\b(?:secret_key|api_key|password|passwd|token)\s*[:=]\s*[\"'](?=[^\"']*[0-9])"
    r"(?=[^\"']*[a-z])[A-Za-z0-9+/_=-]{24,}[\"']",
}
WORD = r"allow-secret"
"""Lines that carry this word are known to be no secrets."""


def run(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload,no-any-return]


def answered(tool: str, found: list[str]) -> tuple[list[str], list[str]]:
    """Of findings "test file:line what": those without an answer, and the answers that no finding needs."""
    answers = tomllib.loads((HERE / "answers.toml").read_text())[tool]
    used = set()
    left = []
    for finding in found:
        name = finding.partition(":")[0]
        fitting = [pattern for pattern in answers if fnmatchcase(name, pattern)]
        used.update(fitting)
        left += [] if fitting else [finding]
    return left, sorted(set(answers) - used)


def bandit() -> list[str]:
    """What bandit finds in the product, one line each."""
    done = run([str(BIN / "bandit"), "-q", "-f", "json", "-r", *PRODUCT])
    report = json.loads(done.stdout)
    assert not report["errors"], report["errors"]
    return [f"{it['test_id']} {it['filename']}:{it['line_number']} {it['issue_text']}" for it in report["results"]]


def semgrep(*places: str) -> list[str]:
    """What our own rules find there (in the product when no place is named)."""
    command = [str(SCAN_BIN / "semgrep"), "scan", "--config", str(HERE / "semgrep.yml"), "--metrics", "off", "--json"]
    command += ["--disable-version-check", "--quiet", "--no-git-ignore", "--jobs", "2"]
    done = run([*command, *(places or (*PRODUCT, "templates", "static/js", "security/crawl.py", "security/scan.py"))])
    report = json.loads(done.stdout)
    assert not report["errors"], report["errors"][:3]
    return [
        f"{it['check_id'].rpartition('.')[2]} {it['path']}:{it['start']['line']} {it['extra']['message']}"
        for it in report["results"]
    ]


def semgrep_examples() -> tuple[set[tuple[str, str, int]], set[tuple[str, str, int]]]:
    """(rule, language, line) that the examples say, and that semgrep finds in them."""
    parts = re.split(r"^=== (\w+)\n", (HERE / "examples.txt").read_text(), flags=re.MULTILINE)[1:]
    said, found = set(), set()
    with tempfile.TemporaryDirectory(dir=PROJECT, prefix=".examples-") as name:
        folder = Path(name) / "services"
        folder.mkdir()
        for language, text in zip(parts[::2], parts[1::2], strict=True):
            (folder / f"example{ENDS[language]}").write_text(text)
            for number, line in enumerate(text.splitlines(), 1):
                if match := re.match(r"(?:#|//|<!--): ([\w-]+)", line):
                    said.add((match[1], language, number + 1))
        ends = {end: language for language, end in ENDS.items()}
        for line in semgrep(str(folder.relative_to(PROJECT))):
            rule, place = line.split(" ")[:2]
            path, _, number_text = place.rpartition(":")
            found.add((rule, ends[Path(path).suffix], int(number_text)))
    return said, found


def rules() -> list[str]:
    return re.findall(r"^  - id: ([\w-]+)$", (HERE / "semgrep.yml").read_text(), re.MULTILINE)


def secrets(history: bool = False) -> list[str]:
    """Lines that look like secrets: of the files in the tree, and with `history` of all that was ever committed."""
    if history:
        text = run(["git", "log", "-p", "--no-color", "--unified=0", "--all"]).stdout
        lines = [("history", line[1:]) for line in text.splitlines() if line.startswith("+")]
    else:
        names = run(["git", "ls-files"]).stdout.splitlines()
        lines = [
            (name, line)
            for name in names
            if (PROJECT / name).is_file() and not name.endswith((".png", ".jpg"))
            for line in (PROJECT / name).read_text(errors="replace").splitlines()
        ]
    known = {kind: re.compile(pattern) for kind, pattern in SECRETS.items()}
    return [
        f"{kind} {name}: {line.strip()[:80]}"
        for name, line in lines
        for kind, pattern in known.items()
        if pattern.search(line) and WORD not in line and "sha256:" not in line
    ]


def audit() -> tuple[list[str], list[str]]:
    """(Known weaknesses of pinned packages, sources that could not be reached.)"""
    weak: list[str] = []
    unreached: list[str] = []
    for source in ("pypi", "osv"):
        command = [
            str(SCAN_BIN / "pip-audit"),
            "-r",
            "requirements.txt",
            "--disable-pip",
            "--require-hashes",
            "-f",
            "json",
        ]
        try:
            done = run(
                [*command, "-f", "json", "-s", source, "--progress-spinner", "off", "--timeout", "15"], timeout=300
            )
            report = json.loads(done.stdout)
            skipped = [package for package in report["dependencies"] if "skip_reason" in package]
            if skipped:
                unreached.append(f"{source}: {len(skipped)} packages could not be looked up")
                continue
            unreached.clear()
            weak += [f"{it['name']} {it['version']}: {v['id']}" for it in report["dependencies"] for v in it["vulns"]]
            break
        except (ValueError, KeyError, subprocess.TimeoutExpired):
            unreached.append(f"{source} could not be reached")
    try:
        report = json.loads(run(["npm", "audit", "--json", "--omit", "dev"], timeout=120).stdout)
        if "vulnerabilities" not in report:
            raise ValueError
        weak += [f"npm {name}: {it['severity']}" for name, it in report["vulnerabilities"].items()]
    except (ValueError, OSError, subprocess.TimeoutExpired):
        unreached.append("npm could not be reached")
    return weak, unreached


def wapiti(base: str, who: str, secret: str, seconds: str = "300", part: str = "pages") -> list[str]:
    """Findings of wapiti over a part of a running server, as somebody with a password or, in the API, with a token."""
    with tempfile.TemporaryDirectory() as folder:
        door = ["-H", f"Authorization: Bearer {secret}"] if part == "api" else ["-C", sign_in(base, who, secret)]
        report = crawl(SCAN_BIN / "wapiti", base, door, seconds=int(seconds), folder=Path(folder), part=part)
    if report.get("unfinished"):
        return ["wapiti did not finish in time"]
    print(f"wapiti: {report['infos']['crawled_pages_nbr']} pages and forms of {part}")
    return findings(report)


def tell(name: str, left: list[str], unneeded: list[str] = []) -> bool:  # noqa: B006 - never written to
    for line in [*left, *(f"answer for nothing: {pattern}" for pattern in unneeded)]:
        print(f"  {line}")
    print(f"{name}: {len(left)} findings without an answer")
    return not left and not unneeded


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["wapiti"]:
        return not tell("wapiti", answered("wapiti", wapiti(*arguments[1:]))[0])
    good = True
    lenient = "--lenient" in arguments
    names = [name for name in arguments if not name.startswith("--")] or ["bandit", "semgrep", "secrets", "audit"]
    for name in names:
        if name == "audit":
            weak, unreached = audit()
            for line in unreached:
                print(f"  NOT CHECKED: {line}")
            good &= tell("audit of what could be reached", weak) and (lenient or not unreached)
            continue
        found: dict[str, Callable[[], list[str]]] = {"bandit": bandit, "semgrep": semgrep, "secrets": secrets}
        lines = found[name]()
        if name == "semgrep":
            said, seen = semgrep_examples()
            good &= tell("examples of rules", [f"not found: {it}" for it in sorted(said - seen)])
        good &= tell(name, *answered(name, lines))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
