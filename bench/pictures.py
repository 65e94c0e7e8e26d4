"""Pictures to measure with: those of a manifest, or drawings of our own; served over loopback HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote

from PIL import Image
from sklearn.datasets import load_sample_image

from labeling_platform.lib.samples import LABELS, draw_sample
from models_app.backends.onnx_graph import calibration_pictures


@dataclass(frozen=True)
class Picture:
    """One labelled picture of a data set. `path` is relative to the set's folder; `split` is train or test."""

    path: str
    label: str
    split: str


@dataclass(frozen=True)
class PictureSet:
    """A folder with pictures and what is known of them."""

    name: str
    root: Path
    pictures: list[Picture]

    def of(self, split: str) -> list[Picture]:
        return [picture for picture in self.pictures if picture.split == split]

    def read(self, picture: Picture) -> bytes:
        return (self.root / picture.path).read_bytes()


def from_manifest(path: Path) -> PictureSet:
    """The set of a CSV with the columns path, label, split. Raises SystemExit when it is not such a file."""
    if not path.exists():
        raise SystemExit(f"There is no manifest {path}.")
    with open(path, newline="") as file:
        reader = csv.DictReader(file)
        if missing := {"path", "label", "split"} - set(reader.fieldnames or []):
            raise SystemExit(f"{path} has no column {', '.join(sorted(missing))}.")
        return PictureSet(
            path.parent.name, path.parent, [Picture(row["path"], row["label"], row["split"]) for row in reader]
        )


def drawings(folder: Path, *, train: int = 60, test: int = 20) -> PictureSet:
    """Draw a set of footwear, the same one every time: so many pictures a class."""
    pictures = []
    for label in LABELS:
        for number in range(1, train + test + 1):
            path = f"{label}-{number:04d}.jpg"
            (folder / path).write_bytes(draw_sample(label, number))
            pictures.append(Picture(path, label, "train" if number <= train else "test"))
    return PictureSet("drawings", folder, pictures)


def others(folder: Path, count: int) -> PictureSet:
    """Pictures of something else: so many pieces of each photograph that scikit-learn ships, and made-up textures."""
    dice = random.Random(1)
    images = [Image.fromarray(picture) for picture in calibration_pictures(256, count, seed=11)]
    for name in ("china.jpg", "flower.jpg"):
        photograph = Image.fromarray(load_sample_image(name))
        for _ in range(count):
            side = dice.randint(120, photograph.height)
            left, top = dice.randint(0, photograph.width - side), dice.randint(0, photograph.height - side)
            images.append(photograph.crop((left, top, left + side, top + side)))
    made = []
    for number, image in enumerate(images):
        image.save(folder / f"other-{number:04d}.png")
        made.append(Picture(f"other-{number:04d}.png", "other", "test"))
    return PictureSet("others", folder, made)


def linked(pictures: PictureSet, folder: Path) -> PictureSet:
    """The set with its pictures linked into a folder that may be written to."""
    for picture in pictures.pictures:
        target = folder / picture.path
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            target.symlink_to((pictures.root / picture.path).resolve())
    return PictureSet(pictures.name, folder, pictures.pictures)


def some_of_each(pictures: Sequence[Picture], count: int, seed: int = 1) -> list[Picture]:
    """At most `count` pictures of each label, chosen at random."""
    by_label: dict[str, list[Picture]] = defaultdict(list)
    for picture in shuffled(pictures, seed):
        by_label[picture.label].append(picture)
    return [picture for label in sorted(by_label) for picture in by_label[label][:count]]


def shuffled(pictures: Sequence[Picture], seed: int) -> list[Picture]:
    """The pictures in an order of their own."""
    found = list(pictures)
    random.Random(seed).shuffle(found)
    return found


def stratified(pictures: Sequence[Picture], share: float, seed: int) -> tuple[list[Picture], list[Picture]]:
    """(rest, `share` of each label), at random."""
    by_label: dict[str, list[Picture]] = defaultdict(list)
    for picture in shuffled(pictures, seed):
        by_label[picture.label].append(picture)
    rest: list[Picture] = []
    taken: list[Picture] = []
    for label in sorted(by_label):
        cut = round(len(by_label[label]) * share)
        taken += by_label[label][:cut]
        rest += by_label[label][cut:]
    return rest, taken


# --- serving --------------------------------------------------------------------------------------------


class PictureServer(asyncio.Protocol):
    """Just enough HTTP/1.1 to hand out files and keep connections open: it shares the cores that are measured."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            line, self.buffer = self.buffer.split(b"\r\n", 1)[0], self.buffer[end + 4 :]
            self.answer(unquote(line.split(b" ")[1].decode("latin-1")).lstrip("/"))

    def answer(self, path: str) -> None:
        file = self.root / path
        if ".." in PurePosixPath(path).parts or not file.is_file():
            self.transport.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")  # type: ignore[attr-defined]
            return
        body = file.read_bytes()
        kind = b"image/png" if body.startswith(b"\x89PNG") else b"image/jpeg"
        head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n" % (kind, len(body))
        self.transport.write(head + body)  # type: ignore[attr-defined]


async def serve_forever(root: Path) -> None:
    """Serve on a free port of 127.0.0.1 and print which."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: PictureServer(root), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextlib.contextmanager
def served(root: Path) -> Iterator[str]:
    """The address (http://127.0.0.1:port) of a process that serves the folder."""
    command = [sys.executable, "-m", "bench.pictures", str(root)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()


def address_of(base: str, picture: Picture) -> str:
    """Where a picture is served."""
    return f"{base}/{quote(picture.path)}"


if __name__ == "__main__":
    asyncio.run(serve_forever(Path(sys.argv[1])))
