"""Command line of the measurements: see script/bench."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from labeling_platform.stack.places import PROJECT

from .pictures import PictureSet, drawings, from_manifest, linked, others, served, shuffled
from .product import Running, running

DRAWN = {
    "accuracy": (60, 20),
    "promise": (60, 40),
    "train": (60, 20),
    "predict": (30, 220),
    "honesty": (60, 40),
    "foreign": (60, 20),
}

SCALE = {
    "ingest": "an uploaded CSV becomes rows",
    "dispatch": "answers of a backend become results",
    "pages": "pages of a workflow with many rows",
    "deletion": "a large team is deleted while another one writes",
}


def main() -> int:
    """Start the product, measure, print one JSON object a line. Each set of pictures gets a product of its own."""
    options = _options()
    if options.what == "labeling":
        return _labeling(options)
    if options.what in {*SCALE, "report"}:
        return _at_scale(options)
    if len(options.manifest) > 1:
        return _one_by_one(options.manifest)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        train, test = DRAWN[options.what]
        manifests = [from_manifest(path) for path in options.manifest]
        pictures = manifests[0] if manifests else drawings(Path(folder), train=train, test=test)
        if options.what == "honesty":
            pictures = linked(pictures, Path(folder))
        foreign = _foreign(options, Path(folder))
        with served(pictures.root) as base, served(foreign.root if foreign else pictures.root) as other:
            allow = f"{base},{other}".replace("http://", "")
            with running(allow=allow, embedder=options.embedder) as product:
                for line in _measure(options, product, (base, other), pictures, foreign):
                    print(json.dumps({"bench": options.what, "embedder": options.embedder} | line), flush=True)
    return 0


def _labeling(options: argparse.Namespace) -> int:
    """People instead of pictures. 1 when an answer was wrong or a judgment counted wrong."""
    failed = 0
    with running(allow="", embedder="fast") as product:
        for line in import_module("bench.labeling").run(product, options):
            print(json.dumps({"bench": "labeling"} | line), flush=True)
            failed += line["errors"] + line["duplicates"]
    return int(failed > 0)


def _at_scale(options: argparse.Namespace) -> int:
    """Many rows that are put in directly; no pictures."""
    with running(allow="", embedder="fast") as product:
        for line in import_module(f"bench.{options.what}").run(options, product):
            print(json.dumps({"bench": options.what} | line), flush=True)
    return 0


def _foreign(options: argparse.Namespace, folder: Path) -> PictureSet | None:
    """For `foreign`: the pictures that the model was never meant for."""
    if options.what != "foreign":
        return None
    if options.foreign:
        found = from_manifest(options.foreign)
        return replace(found, pictures=shuffled(found.pictures, 1)[: options.most])
    (folder / "foreign").mkdir()
    return others(folder / "foreign", 200)


def _one_by_one(manifests: list[Path]) -> int:
    """This command again for each manifest: Django can be set up once in a process."""
    given = {str(path) for path in manifests}
    rest = [word for word in sys.argv[1:] if word not in given and word != "--manifest"]
    commands = [[sys.executable, "-m", "bench", *rest, "--manifest", str(path)] for path in manifests]
    return max(subprocess.run(command, check=False).returncode for command in commands)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="script/bench", description=__doc__)
    kinds = parser.add_subparsers(dest="what", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--manifest", type=Path, action="append", default=[], help="CSV: path, label, split")
    common.add_argument("--embedder", default="balanced", help="fast, balanced, accurate, or an ONNX file")
    accuracy = kinds.add_parser("accuracy", parents=[common], help="accuracy and calibration on unseen pictures")
    accuracy.add_argument("--per-class", type=int, help="train on at most so many pictures a class")
    accuracy.add_argument("--splits", type=int, default=0, help="random 80/20 splits instead of the fixed one")
    accuracy.add_argument("--own", action="store_true", help="with --splits: the product sets the 20%% aside itself")
    accuracy.add_argument("--draws", type=int, default=1, help="draws of training pictures (with --per-class)")
    predict = kinds.add_parser("predict", parents=[common], help="images/s through real workers")
    predict.add_argument("--rows", type=int, help="at most so many rows")
    predict.add_argument("--repeat", type=int, default=1, help="every picture so often: memory, not speed")
    kinds.add_parser("train", parents=[common], help="seconds of a training: first, again, with more pictures")
    promise = kinds.add_parser("promise", parents=[common], help="how often the advisor's promise holds")
    promise.add_argument("--splits", type=int, default=20)
    promise.add_argument("--target", type=float, action="append", default=[])
    honesty = kinds.add_parser("honesty", parents=[common], help="reported accuracy against a new shoot, on bursts")
    honesty.add_argument("--draws", type=int, default=3, help="sets of bursts")
    foreign = kinds.add_parser("foreign", parents=[common], help="pictures of something else that are automated")
    foreign.add_argument("--foreign", type=Path, help="manifest of the other pictures")
    foreign.add_argument("--most", type=int, default=1000, help="at most so many of them")
    labeling = kinds.add_parser("labeling", help="people who label at once: submit and get the next page")
    labeling.add_argument("--contributors", type=int, default=1)
    labeling.add_argument("--rows", type=int, action="append", help="rows of the job; several are measured in turns")
    labeling.add_argument("--rows-per-page", type=int, default=1)
    labeling.add_argument("--judgments-per-row", type=int, default=1)
    labeling.add_argument("--seconds", type=float, default=20.0, help="for each job, unless its rows run out before")
    labeling.add_argument("--seed", type=int, default=1, help="of the answers that are chosen")
    report = kinds.add_parser("report", help="build a workflow's report, against COPY of the same query")
    report.add_argument("--rows", type=int, action="append", help="rows of the workflow; several are measured in turn")
    report.add_argument("--format", action="append", help="csv, csv.gz, jsonl or jsonl.gz; several in turn")
    peers = PROJECT.parent / "shared" / "baselines" / "results"
    labeling.add_argument("--peers", type=Path, default=peers, help="folder with labelstudio*.json to compare with")
    for what, words in SCALE.items():
        kind = kinds.add_parser(what, help=words)
        kind.add_argument("--rows", type=int, action="append", help="how many rows; several are measured one by one")
        kind.add_argument("--repeat", type=int, default=3, help="turns of each size")
    return parser.parse_args()


def _measure(
    options: argparse.Namespace,
    product: Running,
    bases: tuple[str, str],
    pictures: PictureSet,
    foreign: PictureSet | None,
) -> Iterator[dict[str, Any]]:
    """Modules that need Django are imported here: it is set up when the product runs."""
    base = bases[0]
    module = import_module(f"bench.{ {'train': 'training'}.get(options.what, options.what) }")
    if options.what == "accuracy" and options.splits:
        yield from module.run_random(base, pictures, splits=options.splits, own=options.own)
    elif options.what == "accuracy":
        yield from module.run_fixed(base, pictures, per_class=options.per_class, draws=options.draws)
    elif options.what == "predict":
        yield module.run(product, base, pictures, rows=options.rows, repeat=options.repeat)
    elif options.what == "foreign":
        yield module.run(*bases, pictures, foreign)
    elif options.what == "honesty":
        yield from module.run(base, pictures, draws=options.draws)
    elif options.what == "train":
        yield module.run(base, pictures)
    else:
        targets = tuple(options.target) or (0.9, 0.95, 0.98)
        yield from module.run(base, pictures, splits=options.splits, targets=targets)


if __name__ == "__main__":
    sys.exit(main())
