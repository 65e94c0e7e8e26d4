"""Drawings of footwear: sample pictures of our own, the same ones every time, for the demo and the tests.

Each picture is drawn from its name alone, so nothing is stored. Shapes vary and overlap on purpose (low
boots, high sneakers, strappy shoes), so that a model trained on them makes some mistakes.
"""

from __future__ import annotations

import hashlib
import io
import math
import random
import re

from PIL import Image, ImageChops, ImageDraw, ImageFilter

LABELS = ["boots", "sneakers", "sandals", "negative_examples"]
BROKEN_NAMES = ["broken-text.jpg", "broken-cut.jpg"]
NAME = re.compile(r"(" + "|".join(LABELS) + r")-([0-9]{4})\.jpg")
SIZE, SCALE = 288, 2
Color = tuple[int, int, int]
Point = tuple[float, float]

LEATHER = [(94, 60, 36), (48, 38, 34), (139, 90, 43), (70, 70, 78), (30, 30, 34), (120, 40, 40), (165, 120, 75)]
BRIGHT = [(222, 60, 66), (40, 110, 200), (240, 240, 242), (40, 160, 110), (250, 190, 60), (130, 80, 190), (60, 66, 80)]
GROUND = [(236, 232, 224), (214, 224, 232), (225, 234, 222), (240, 226, 220), (205, 205, 212), (250, 250, 250)]


def sample_names(label: str, count: int) -> list[str]:
    """The names of the first `count` drawings of a label."""
    return [f"{label}-{number:04d}.jpg" for number in range(1, count + 1)]


def render_sample(name: str) -> bytes | None:
    """The JPEG called `name` (like boots-0012.jpg), or what is broken about a broken one; None: no such name."""
    if name == "broken-text.jpg":
        return b"This is a text file that calls itself a picture.\n"
    if name == "broken-cut.jpg":
        return draw_sample("boots", 1)[:900]
    match = NAME.fullmatch(name)
    return draw_sample(match.group(1), int(match.group(2))) if match else None


def draw_sample(label: str, number: int) -> bytes:
    """Draw one picture as JPEG, 288 pixels square. Raises KeyError for an unknown label."""
    seed = hashlib.sha256(f"{label}-{number}".encode()).digest()
    return _Drawing(random.Random(seed)).picture(label)  # noqa: S311 - repeatable on purpose


class _Drawing:
    """Shapes are given in a unit square, x to the right (toe), y down, and drawn at twice the size."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        side = SIZE * SCALE
        self.layer = Image.new("RGBA", (side, side), (0, 0, 0, 0))
        self.pen = ImageDraw.Draw(self.layer)

    def picture(self, label: str) -> bytes:
        draw = {
            "boots": self.boot,
            "sneakers": self.sneaker,
            "sandals": self.sandal,
            "negative_examples": self.other,
        }[label]
        draw()
        image = self.place(self.background())
        if self.dice.random() < 0.25:
            image = image.filter(ImageFilter.GaussianBlur(self.dice.uniform(0.4, 1.4)))
        if self.dice.random() < 0.6:
            noise = _seeded_noise(image.size, self.dice)
            image = ImageChops.add(image, noise, scale=1, offset=-10)
        out = io.BytesIO()
        image.save(out, "JPEG", quality=88)
        return out.getvalue()

    # -- small tools

    def shade(self, color: Color, factor: float) -> Color:
        red, green, blue = (max(0, min(255, round(part * factor))) for part in color)
        return red, green, blue

    def color(self, palette: list[Color]) -> Color:
        return self.shade(self.dice.choice(palette), self.dice.uniform(0.8, 1.15))

    def at(self, point: Point) -> Point:
        side = SIZE * SCALE
        return point[0] * side, point[1] * side

    def shape(self, points: list[Point], fill: Color, outline: Color | None = None) -> None:
        smooth = [self.at(point) for point in _smooth(points)]
        self.pen.polygon(smooth, fill=fill)
        self.pen.line([*smooth, smooth[0]], fill=outline or self.shade(fill, 0.6), width=4, joint="curve")

    def line(self, points: list[Point], fill: Color, width: float) -> None:
        self.pen.line(
            [self.at(point) for point in points], fill=fill, width=max(1, round(width * SIZE * SCALE)), joint="curve"
        )

    def vary(self, value: float, by: float = 0.02) -> float:
        return value + self.dice.uniform(-by, by)

    # -- what is drawn

    def sole(self, color: Color, height: float, heel: float = 0.0) -> None:
        top = 0.76
        points = [(0.17, top), (0.86, top), (0.9, top + height * 0.6), (0.84, top + height), (0.4, top + height)]
        if heel:
            points += [(0.37, top + height), (0.35, top + height + heel), (0.18, top + height + heel)]
        self.pen.polygon([self.at(point) for point in [*points, (0.16, top + height)]], fill=color)

    def upper(self, shaft: float, toe: float, color: Color) -> None:
        """Side view from the heel on the left to the toe on the right; `shaft` is the height of the opening."""
        back, front = self.vary(0.2), self.vary(0.44, 0.03)
        self.shape(
            [(back, 0.77), (back - 0.02, 0.6), (back, shaft), (front, shaft - self.vary(0.0, 0.015)),
             (front + 0.03, 0.56), (0.62, toe), (0.8, toe + 0.04), (0.88, 0.72), (0.86, 0.77)],
            color,
        )  # fmt: skip

    def laces(self, count: int, top: float, color: Color) -> None:
        for step in range(count):
            y = top + step * (0.6 - top) / max(count, 1) + 0.02
            x = 0.44 + step * 0.035
            self.line([(x - 0.05, y + 0.02), (x + 0.05, y - 0.015)], color, 0.012)

    def boot(self) -> None:
        color = self.color(LEATHER if self.dice.random() < 0.8 else BRIGHT)
        low = self.dice.random() < 0.22
        shaft = self.dice.uniform(0.4, 0.46) if low else self.dice.uniform(0.12, 0.36)
        self.sole(self.shade(color, 0.4), self.dice.uniform(0.03, 0.06), self.dice.choice([0, 0, 0.02, 0.05]))
        self.upper(shaft, self.dice.uniform(0.57, 0.62), color)
        if self.dice.random() < 0.5:
            self.laces(self.dice.randint(3, 6), shaft + 0.04, self.shade(color, 1.7))
        if self.dice.random() < 0.35:
            self.line([(0.2, shaft + 0.04), (0.44, shaft + 0.03)], self.shade(color, 1.5), 0.035)
        if self.dice.random() < 0.3:
            self.line([(0.3, shaft + 0.05), (0.31, 0.7)], self.shade(color, 0.6), 0.01)

    def sneaker(self) -> None:
        color = self.color(BRIGHT if self.dice.random() < 0.75 else LEATHER)
        high = self.dice.random() < 0.25
        shaft = self.dice.uniform(0.38, 0.44) if high else self.dice.uniform(0.47, 0.55)
        self.sole(self.dice.choice([(245, 245, 245), (235, 225, 200), (60, 60, 64)]), self.dice.uniform(0.05, 0.085))
        self.upper(shaft, self.dice.uniform(0.6, 0.65), color)
        accent = self.color(BRIGHT)
        if self.dice.random() < 0.8:
            self.laces(self.dice.randint(3, 5), shaft + 0.02, (245, 245, 245))
        if self.dice.random() < 0.6:
            self.line([(0.3, 0.73), (0.45, 0.66), (0.55, 0.7)], accent, 0.025)
        if self.dice.random() < 0.5:
            self.shape([(0.74, 0.77), (0.76, 0.68), (0.84, 0.69), (0.87, 0.77)], (240, 240, 240))

    def sandal(self) -> None:
        color = self.color(LEATHER if self.dice.random() < 0.6 else BRIGHT)
        sole = self.color(LEATHER)
        thick = self.dice.uniform(0.03, 0.07)
        self.sole(sole, thick, self.dice.choice([0, 0, 0, 0.06]))
        if self.dice.random() < 0.18:  # a clog: closed in front, open behind
            self.shape([(0.46, 0.77), (0.5, 0.6), (0.68, 0.58), (0.84, 0.68), (0.86, 0.77)], color)
            return
        for _ in range(self.dice.randint(1, 3)):
            x = self.dice.uniform(0.5, 0.76)
            self.line([(x - 0.06, 0.77), (x, 0.66), (x + 0.07, 0.77)], color, self.dice.uniform(0.025, 0.05))
        if self.dice.random() < 0.7:
            height = self.dice.uniform(0.5, 0.62)
            self.line(
                [(0.2, 0.77), (0.19, height), (0.33, height - 0.02), (0.42, 0.77)], color, self.dice.uniform(0.02, 0.04)
            )
        if self.dice.random() < 0.2:  # many straps: nearly a shoe
            for step in range(4):
                x = 0.36 + step * 0.11
                self.line([(x, 0.77), (x + 0.03, 0.6 + step * 0.02), (x + 0.09, 0.77)], color, 0.04)

    def other(self) -> None:
        color = self.color(BRIGHT)
        kind = self.dice.choice(["hat", "bag", "cup", "shirt", "tree", "ball", "sock", "book"])
        if kind == "hat":
            self.shape([(0.3, 0.6), (0.32, 0.36), (0.5, 0.28), (0.68, 0.36), (0.7, 0.6)], color)
            self.shape([(0.14, 0.6), (0.5, 0.56), (0.86, 0.6), (0.8, 0.68), (0.2, 0.68)], self.shade(color, 0.85))
        elif kind == "bag":
            self.line([(0.35, 0.42), (0.38, 0.2), (0.62, 0.2), (0.65, 0.42)], self.shade(color, 0.7), 0.03)
            self.shape([(0.22, 0.42), (0.78, 0.42), (0.84, 0.8), (0.16, 0.8)], color)
        elif kind == "cup":
            self.line([(0.66, 0.42), (0.82, 0.44), (0.82, 0.6), (0.64, 0.64)], self.shade(color, 0.8), 0.04)
            self.shape([(0.3, 0.34), (0.68, 0.34), (0.64, 0.78), (0.34, 0.78)], color)
        elif kind == "shirt":
            self.shape(
                [(0.36, 0.26), (0.64, 0.26), (0.86, 0.4), (0.76, 0.5), (0.68, 0.44), (0.68, 0.8), (0.32, 0.8),
                 (0.32, 0.44), (0.24, 0.5), (0.14, 0.4)], color,
            )  # fmt: skip
        elif kind == "tree":
            self.line([(0.5, 0.82), (0.5, 0.5)], (100, 70, 45), 0.06)
            self.shape([(0.5, 0.16), (0.74, 0.36), (0.68, 0.6), (0.32, 0.6), (0.26, 0.36)], (70, 140, 80))
        elif kind == "ball":
            circle = [
                (0.5 + 0.27 * math.cos(t / 12 * math.tau), 0.54 + 0.27 * math.sin(t / 12 * math.tau)) for t in range(12)
            ]
            self.shape(circle, color)
        elif kind == "sock":  # shaped like a boot, without a sole
            self.shape(
                [(0.32, 0.2), (0.54, 0.2), (0.54, 0.54), (0.76, 0.64), (0.76, 0.76), (0.6, 0.8), (0.36, 0.74)], color
            )
            self.line([(0.32, 0.24), (0.54, 0.24)], self.shade(color, 1.5), 0.04)
        else:
            self.shape([(0.22, 0.3), (0.76, 0.26), (0.8, 0.74), (0.26, 0.78)], color)
            self.line([(0.3, 0.32), (0.34, 0.75)], self.shade(color, 0.7), 0.015)

    # -- where it stands

    def background(self) -> Image.Image:
        base = self.color(GROUND)
        image = Image.new("RGB", (SIZE, SIZE), base)
        pen = ImageDraw.Draw(image)
        kind = self.dice.random()
        if kind < 0.4:
            other = self.shade(base, self.dice.uniform(0.7, 0.95))
            for y in range(SIZE):
                share = y / SIZE
                pen.line(
                    [(0, y), (SIZE, y)],
                    fill=tuple(round(a + (b - a) * share) for a, b in zip(base, other, strict=True)),
                )
        elif kind < 0.6:
            pen.rectangle([0, SIZE * 0.7, SIZE, SIZE], fill=self.shade(base, 0.82))
        elif kind < 0.75:
            for step in range(0, SIZE, self.dice.randint(16, 40)):
                pen.line([(step, 0), (step, SIZE)], fill=self.shade(base, 0.93), width=3)
        return image

    def place(self, ground: Image.Image) -> Image.Image:
        """Turn, mirror, scale and move the drawing; sometimes something stands in front of it."""
        layer = self.layer.rotate(self.dice.uniform(-14, 14), Image.Resampling.BICUBIC, fillcolor=(0, 0, 0, 0))
        if self.dice.random() < 0.5:
            layer = layer.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        side = round(SIZE * self.dice.uniform(0.72, 1.12))
        layer = layer.resize((side, side), Image.Resampling.LANCZOS)
        x, y = (round((SIZE - side) / 2 + self.dice.uniform(-0.07, 0.07) * SIZE) for _ in range(2))
        shadow = Image.new("RGBA", layer.size, (0, 0, 0, 70))
        shadow.putalpha(layer.getchannel("A").point(lambda part: part * 0.28).filter(ImageFilter.GaussianBlur(5)))
        image = ground.convert("RGBA")
        image.alpha_composite(_canvas(shadow, x + 4, y + 6))
        image.alpha_composite(_canvas(layer, x, y))
        if self.dice.random() < 0.1:
            pen = ImageDraw.Draw(image)
            left = self.dice.randint(20, SIZE - 100)
            pen.rectangle([left, SIZE * 0.35, left + self.dice.randint(25, 70), SIZE], fill=self.color(BRIGHT))
        return image.convert("RGB")


def _canvas(layer: Image.Image, x: int, y: int) -> Image.Image:
    canvas = Image.new("RGBA", (SIZE, SIZE), (0, 0, 0, 0))
    canvas.paste(layer, (x, y))
    return canvas


def _seeded_noise(size: tuple[int, int], dice: random.Random) -> Image.Image:
    """Grain, 0 to 20, the same for the same dice (Pillow's own noise has no seed)."""
    grain = bytes(value % 21 for value in dice.randbytes(size[0] * size[1]))
    return Image.frombytes("L", size, grain).convert("RGB")


def _smooth(points: list[Point], steps: int = 2) -> list[Point]:
    """Round the corners of a closed line (Chaikin, 1974)."""
    for _ in range(steps):
        rounded: list[Point] = []
        for (x, y), (u, v) in zip(points, [*points[1:], points[0]], strict=True):
            rounded += [(0.8 * x + 0.2 * u, 0.8 * y + 0.2 * v), (0.2 * x + 0.8 * u, 0.2 * y + 0.8 * v)]
        points = rounded
    return points
