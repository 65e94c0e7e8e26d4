"""Command line of the embedded stack: serve, exec, manage, backup, restore, stop, status."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from pathlib import Path

import psutil

from .backup import back_up, restore
from .places import PROJECT, StackError, prepare_places, read_state
from .supervisor import execute, manage_running, serve


def main() -> int:
    parser = argparse.ArgumentParser(prog="script/server", description="Run the labeling platform on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    data = argparse.ArgumentParser(add_help=False)
    default = Path(os.environ.get("DATA_DIR") or PROJECT / "var")
    data.add_argument("--data", type=Path, default=default, metavar="DIR", help="where all data is kept")
    serving = commands.add_parser("serve", parents=[data], help="start everything and stay")
    serving.add_argument("--port", type=int, default=8000, help="port on 127.0.0.1 (0: any free one)")
    serving.add_argument("--no-demo", action="store_true", help="do not make the demo team")
    running = commands.add_parser("exec", parents=[data], help="run a command with the database and broker up")
    running.add_argument("--fast", action="store_true", help="no durability: for data that is thrown away")
    running.add_argument("argv", nargs=argparse.REMAINDER)
    managing = commands.add_parser("manage", parents=[data], help="run a manage.py command on the running stack")
    managing.add_argument("argv", nargs=argparse.REMAINDER)
    backing = commands.add_parser("backup", parents=[data], help="write everything into one archive")
    backing.add_argument("target", type=Path, metavar="FILE-or-FOLDER")
    restoring = commands.add_parser("restore", parents=[data], help="make a data directory from an archive")
    restoring.add_argument("archive", type=Path, metavar="FILE")
    restoring.add_argument("--force", action="store_true", help="although there is data; it is kept under another name")
    commands.add_parser("stop", parents=[data], help="stop the stack of a data directory")
    commands.add_parser("status", parents=[data], help="say what runs")
    options = parser.parse_args()
    try:
        if options.command == "serve":
            return serve(options.data, port=options.port, demo=not options.no_demo)
        if options.command == "exec":
            argv = options.argv[1:] if options.argv[:1] == ["--"] else options.argv
            return execute(options.data, argv, fast=options.fast)
        if options.command == "manage":
            return manage_running(options.data, options.argv)
        if options.command == "backup":
            back_up(options.data, options.target)
            return 0
        if options.command == "restore":
            restore(options.data, options.archive, force=options.force)
            return 0
        return stop(options.data) if options.command == "stop" else status(options.data)
    except StackError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def stop(data: Path) -> int:
    """Ask the supervisor of a data directory to stop, and wait until it has."""
    pid = read_state(prepare_places(data)).get("supervisor")
    with contextlib.suppress(psutil.Error, TypeError):
        process = psutil.Process(pid)
        if "labeling_platform.stack" in " ".join(process.cmdline()):
            process.terminate()
            psutil.wait_procs([process], timeout=90)
            print("stopped")
            return 0
    print("not running")
    return 0


def status(data: Path) -> int:
    """List the parts with their process ids; exit code 0 when all of them run."""
    state = read_state(prepare_places(data))
    records = state.get("processes", [])
    alive = True
    for record in records:
        running = psutil.pid_exists(record["pid"])
        alive = alive and running
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record["created"]))
        print(f"{record['name']:10} {'running' if running else 'down':8} pid {record['pid']} since {since}")
    print(state.get("address", "not serving"))
    return 0 if records and alive else 1


if __name__ == "__main__":
    sys.exit(main())
