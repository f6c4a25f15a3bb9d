"""The limit of what open_clip's resizing may make of an image."""

from typing import Any


def check_resized(picture, steps):
    """Refuse a strip so long that resizing its short side would fill the memory.

    open_clip resizes before it crops, and Pillow's limit is for what comes from a file only.

    Parameters
    ----------
    picture : PIL.Image.Image
        The picture.
    steps : sequence
        What open_clip does to it, the resizing first.
    """
    from PIL import Image

    height, width = _resized(picture, *steps[:1])
    limit = Image.MAX_IMAGE_PIXELS and 2 * Image.MAX_IMAGE_PIXELS
    if not height or not width or (limit and height * width > limit):
        raise ValueError(  # which names its kind, like the errors of open_image
            f"ValueError: it is a strip of {picture.width} x {picture.height} pixels, which would "
            f"be resized to {width} x {height}: crop it first"
        )


def _resized(picture, resize: Any = None):
    """Return the height and width that a step of open_clip gives a picture."""
    if hasattr(resize, "get_params"):  # ResizeKeepRatio
        return resize.get_params(picture, resize.size, resize.longest)
    size = getattr(resize, "size", (picture.height, picture.width))
    if not isinstance(size, int):
        return size
    scale = size / min(picture.size)
    return int(picture.height * scale), int(picture.width * scale)
