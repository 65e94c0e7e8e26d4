"""Usage: script/fuzz SECONDS [csv|cml|liquid|url|image|writer|http]. Without a target: all, an equal time each.

libFuzzer (atheris) looks for inputs that reach new code. Prints executions, executions a second and crashes; an input
that crashes is kept in tests/regressions/<target>/, which tests/test_fuzz.py throws again for ever. Exit code 1 then.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
REGRESSIONS = PROJECT / "tests" / "regressions"
NAMES = ["csv", "cml", "liquid", "url", "image", "writer"]
INSTRUMENTED = [
    "jobs_app.design",
    "labeling_platform.lib.csvio",
    "labeling_platform.lib.urls",
    "labeling_platform.lib.images",
]


def search(name: str, corpus: str, *options: str) -> None:
    """Inside the child: look for inputs until libFuzzer's time is over. Does not return."""
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED):
        from .targets import TARGETS
    target, seeds = TARGETS[name]
    for seed in seeds:
        (Path(corpus) / hashlib.sha256(seed).hexdigest()).write_bytes(seed)
    atheris.Setup([sys.argv[0], corpus, *options], target)
    atheris.Fuzz()


def fuzz(name: str, seconds: int) -> int:
    """Run a target for so long; how many inputs broke it (libFuzzer stops at the first)."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    (folder / "corpus").mkdir()
    command = [
        sys.executable, "-m", "fuzz", "--child", name, str(folder / "corpus"), f"-max_total_time={seconds}",
        "-print_final_stats=1", "-timeout=10", "-rss_limit_mb=2048", "-max_len=4096", f"-artifact_prefix={folder}/",
    ]  # fmt: skip
    began = time.monotonic()
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, errors="replace", check=False)
    spent = time.monotonic() - began
    counted = re.search(r"number_of_executed_units:\s*(\d+)", done.stderr)
    executions = int(counted[1]) if counted else 0
    broken = [path for path in folder.iterdir() if re.match(r"(crash|timeout|oom|leak)-", path.name)]
    for path in broken:
        (REGRESSIONS / name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, REGRESSIONS / name / path.name)
    if broken or done.returncode:
        print("\n".join(done.stderr.splitlines()[-25:]))
    kept = len(list((folder / "corpus").iterdir()))
    print(
        f"{name}: {executions} executions, {executions / spent:.0f} a second, {len(broken)} crashes; {kept} kept",
        flush=True,
    )
    shutil.rmtree(folder)
    return len(broken) or int(done.returncode != 0)


def fuzz_http(seconds: int) -> int:
    """Forms and addresses of every page of a team, through Django's client on a real database."""
    command = [str(PROJECT / "script" / "test"), "tests/test_fuzz.py", "-k", "http", "-q", "-n", "0", "-s"]
    done = subprocess.run(
        command,
        cwd=PROJECT,
        env=os.environ | {"FUZZ_SECONDS": str(seconds)},
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in done.stdout.splitlines() if line.startswith("http: ")]
    print("\n".join(said) or done.stdout[-3000:], flush=True)
    if done.returncode:
        print(done.stdout[-3000:])
    return int(done.returncode != 0)


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--child"]:
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "labeling_platform.settings_test")
        search(*arguments[1:])
    if not arguments or not arguments[0].isdigit():
        print(__doc__)
        return 2
    names = arguments[1:] or [*NAMES, "http"]
    each = max(1, int(arguments[0]) // len(names))
    broken = sum(fuzz_http(each) if name == "http" else fuzz(name, each) for name in names)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
