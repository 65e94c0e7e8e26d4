"""How every backend looks at a picture: upright, in RGB, on white."""

from __future__ import annotations

from PIL import Image, ImageOps


def upright_rgb(image: Image.Image) -> Image.Image:
    """The picture turned as its EXIF orientation says, in RGB; what is transparent is white."""
    image = ImageOps.exif_transpose(image)
    if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.new("RGB", layer.size, "white")
        image.paste(layer, mask=layer.getchannel("A"))
    return image.convert("RGB")
