"""What CLIPFeaturizer says of items that it could not embed as they are.

A dict of troubles maps the position of a distinct item to a message.
"""

import pandas as pd

from ..._inputs.messages import warn
from .._items import describe_image, is_open_file
from .._towers.models import differs_from_tags


def refuse(troubles, items, first, modality):
    """Raise the error about the first item in trouble.

    Parameters
    ----------
    troubles : dict of int to str
        By position among the distinct items.
    items : list
        All of them, one a row.
    first : list of int
        Row where each distinct item is met first.
    modality : {"image", "text"}
        What the items are.
    """
    position = min(troubles)
    row, message = first[position], troubles[position]
    if modality == "text":
        raise ValueError(
            f"the text in row {row} {message}: shorten or split it, or set long_text='truncate'."
        )
    raise ValueError(
        f"an image cannot be read, row {row} ({describe_image(items[row])}): {message}; "
        "repair or drop it, or set on_error='nan'."
    )


def refuse_open_files(images):
    """Raise an error about the first image that cannot be sent to another process."""
    for row, image in enumerate(images if isinstance(images, list) else ()):
        if is_open_file(image):
            raise ValueError(
                f"row {row} of X is an open file, which other processes cannot read: give its "
                "path or its bytes, or set n_workers=0."
            )


def failed_rows(troubles, images, inverse):
    """List the rows of images that could not be read.

    Parameters
    ----------
    troubles : dict of int to str
        By position among the distinct images.
    images : list
        All of them, one a row.
    inverse : ndarray of shape (n_rows,)
        For each row, the position of its image among the distinct ones.

    Returns
    -------
    DataFrame of shape (n_failed, 3)
        ``row``, ``item`` and ``message``.
    """
    failed = [
        (row, describe_image(images[row]), troubles[position])
        for row, position in enumerate(inverse.tolist())
        if position in troubles
    ]
    return pd.DataFrame(failed, columns=["row", "item", "message"])


def warn_of_cut(troubles, n_distinct):
    """Warn of texts that were cut."""
    message = next(iter(troubles.values()))
    warn(
        f"{len(troubles)} of {n_distinct} distinct texts were cut, each {message}: shorten or "
        "split them.",
    )


def warn_of_failed(failed, n_rows, became="became NaN"):
    """Warn of rows whose images could not be read, and of what became of them."""
    shown = [f"row {row} ({item}): {why}" for row, item, why in failed[:3].itertuples(index=False)]
    warn(
        f"the images of {len(failed)} of {n_rows} rows cannot be read and {became}, all are "
        f"listed in errors_: {'; '.join(shown)}{'; ...' if len(failed) > 3 else ''}",
    )


def warn_of_preprocessing(located, pretrained):
    """Warn of a bare file of weights whose architecture has more than one way of preparing."""
    if tag := differs_from_tags(located):
        warn(
            f"{str(pretrained)!r} does not contain its preprocessing of images, so the default of "
            f"open_clip is used, but some weights of {located.name!r} need another one (tag "
            f"{tag!r}): save the model as a folder with its preprocessing and give "
            "model_name='local-dir:<folder>'.",
        )


def warn_of_cache(folder, error):
    """Warn of a cache that fails."""
    warn(
        f"the cache {str(folder)!r} cannot be used any more ({type(error).__name__}: {error}): all "
        "embeddings are computed and returned, but not kept; free space, make the folder readable "
        "and writable, or set another cache_dir.",
    )
