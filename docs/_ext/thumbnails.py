"""Thumbnails of the gallery that can be read: a part of the figure instead of all of it, tiny."""

from pathlib import Path

from PIL import Image

SHAPE = (900, 560)  # pixels of a figure at twice its size


def crop(app):
    """Replace the thumbnails of all examples that have a figure."""
    images = Path(app.srcdir) / app.config.sphinx_gallery_conf["gallery_dirs"] / "images"
    for thumbnail in sorted(images.glob("thumb/sphx_glr_*_thumb.png")):
        name = thumbnail.name.removesuffix("_thumb.png")
        figures = sorted(images.glob(f"{name}_0*_2_00x.png"))
        if figures:
            with Image.open(figures[0]) as figure:
                scale = max(SHAPE[0] / figure.width, SHAPE[1] / figure.height, 1)
                part = figure.crop((0, 0, round(SHAPE[0] / scale), round(SHAPE[1] / scale)))
                part.convert("RGB").save(thumbnail)


def setup(app):
    """Connect to the build, after sphinx-gallery."""
    app.connect("builder-inited", crop, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
