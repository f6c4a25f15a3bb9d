"""What the benchmarks of quality share: retrieval in both directions."""

import numpy as np

from skhash.metrics import mean_average_precision


def both_directions(encode, queries, gallery, labels):
    """Return the mean average precision of images to texts, and of texts to images.

    Parameters
    ----------
    encode : callable
        Turns pairs into their codes, image codes first.
    queries, gallery : array
        The pairs.
    labels : tuple of two
        Labels of the queries and of the gallery, or None twice: the other half is relevant.

    Returns
    -------
    list of two float
        Over all ranks, ties in expectation.
    """
    image, text = np.split(encode(queries), 2, axis=1)
    image_gallery, text_gallery = np.split(encode(gallery), 2, axis=1)
    return [
        mean_average_precision(image, text_gallery, *labels),
        mean_average_precision(text, image_gallery, *labels),
    ]
