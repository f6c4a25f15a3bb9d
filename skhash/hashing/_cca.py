"""Canonical correlation analysis, rotated to bits."""

import numpy as np
from scipy import linalg
from sklearn.utils.extmath import svd_flip

from ._docs import hasher
from ._linear import LinearHasher, itq_rotation
from ._mapped import mean_squares, products, stack
from ._parameters import choice, count, not_negative


@hasher
class CCAHasher(LinearHasher):
    r"""Canonical correlation analysis with iterative quantization, CCA + ITQ.

    Finds directions of image and text features that are correlated, by regularised canonical
    correlation analysis:

    .. math::
        \max_{w_I, w_T} \frac{w_I^\top C_{IT} w_T}
        {\sqrt{w_I^\top (C_I + r_I) w_I}\, \sqrt{w_T^\top (C_T + r_T) w_T}}

    where :math:`r` is the `ridge` times the mean variance along the axes of a modality. Each
    direction is weighted by a power of its correlation, :math:`\rho^p`. Then one rotation of both
    modalities minimizes the quantization error, the distance between the projections and their
    signs. It is fast, uses pairs without labels, and is a good first choice. Without rotation and
    weights it is cross-view hashing (CVH).

    Parameters
    ----------
    n_components : int, default=None
        Largest number of principal axes of each block to learn from. ``None`` means 128, or
        `n_bits` if that is more.
    ridge : float, default=0.1
        Ridge penalty, in units of the mean variance of a modality.
    power : float, default=1.0
        Exponent of the correlation in the weight of a direction, :math:`p`.
    rotation : {"itq", None}, default="itq"
        ``"itq"`` rotates the directions by iterative quantization, and allows more bits than there
        are directions. ``None`` uses one bit for each direction.
    n_iter : int, default=50
        Number of iterations of iterative quantization.

    Attributes
    ----------
    correlations_ : ndarray of shape (n_directions,)
        Regularised correlations of the directions, in descending order.

    Notes
    -----
    This library's own: the unit of the ridge, and the weights of directions. With ``power=0``,
    directions are not weighted.

    References
    ----------
    Y. Gong, S. Lazebnik, A. Gordo, F. Perronnin: Iterative quantization: a Procrustean approach to
    learning binary codes for large-scale image retrieval, TPAMI 35 (12), 2013.

    S. Kumar, R. Udupa: Learning hash functions for cross-view similarity search, IJCAI 2011.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.hashing import CCAHasher
    >>> rng = np.random.default_rng(0)
    >>> topics = rng.normal(size=(200, 5))
    >>> image, text = topics @ rng.normal(size=(5, 16)), topics @ rng.normal(size=(5, 30))
    >>> hasher = CCAHasher(16, n_image_features=16, random_state=0).fit(np.hstack([image, text]))
    >>> hasher.encode_text(text).shape
    (200, 16)
    """

    ridge: float = not_negative(0.1)
    power: float = not_negative(1.0)
    rotation: str | None = choice("itq", "itq", None)
    n_iter: int = count(50)

    _least_components = 128
    _reads_maps = True

    def _directions(self, image, text, rng):
        first, second = (_whitening(x, self.ridge) for x in (image, text))
        cross = products(image @ first, text @ second) / len(image)
        u, self.correlations_, v = linalg.svd(cross, full_matrices=False)
        u, v = svd_flip(u, v)  # else rounding decides where the rotation begins
        weights = np.minimum(self.correlations_, 1) ** self.power
        maps = first @ u * weights, second @ v.T * weights  # pyright: ignore
        if self.rotation == "itq":
            maps = [directions[:, : self.n_bits] for directions in maps]  # more are not rotated
            stacked = stack(image @ maps[0], text @ maps[1])
            rotation = itq_rotation(stacked, self.n_bits, rng, self.n_iter)
            return maps[0] @ rotation, maps[1] @ rotation
        if self.n_bits > len(weights):
            raise ValueError(
                f"n_bits={self.n_bits} is more than the {len(weights)} canonical directions: set "
                "rotation='itq', or ask for fewer bits."
            )
        return maps[0][:, : self.n_bits], maps[1][:, : self.n_bits]


def _whitening(x, ridge):
    """Return the scale that gives each axis unit variance, less where the ridge outweighs it."""
    variances = mean_squares(x)
    penalty = ridge * variances.mean()
    return np.diag(np.maximum(variances + penalty, np.finfo(np.float64).tiny) ** -0.5)
