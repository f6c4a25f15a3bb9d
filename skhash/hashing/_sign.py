"""Signs in one space of both modalities: of its dimensions, of random or of rotated projections."""

import numpy as np
from scipy import linalg

from .._blocks import BLOCKS
from ._docs import hasher
from ._linear import LinearHasher, itq_rotation, principal_axes, ridge_regression, standardize
from ._parameters import choice, count, not_negative


@hasher
class SharedSpaceHasher(LinearHasher):
    """Base of hashers that take the signs of projections of one space.

    A method defines `_projections`.

    Parameters
    ----------
    n_components : int, default=None
        Largest number of principal axes to use in the regression and in iterative quantization.
        ``None`` means 512, or `n_bits` if that is more.
    space : {"shared", "image", "text"}, default="shared"
        The space that is encoded. ``"shared"``: both blocks are embeddings in one space, with the
        same number of features, such as those of the two encoders of CLIP; each is centred by its
        own mean. ``"image"`` or ``"text"``: the space of that block; the other block is mapped into
        it by ridge regression.
    ridge : float, default=0.3
        Penalty of the ridge regression, in units of the mean variance.
    """

    space: str = choice("shared", "shared", "image", "text")
    ridge: float = not_negative(0.3)

    def _projections(self, x, other, rng):
        """Return the projections of the space, (d, n_bits).

        `x` is the block whose space it is, and `other` what predicts it; in a shared space they are
        the image and the text block.
        """
        raise NotImplementedError

    def _learn(self, pairs, seed):
        rng = np.random.default_rng(seed)
        blocks = {b: standardize(b, pairs.blocks[b], center=self.center) for b in BLOCKS}
        x = {block: standardized[0] for block, standardized in blocks.items()}
        if self.space == "shared":
            _check_widths(pairs.blocks)
            maps = dict.fromkeys(BLOCKS, self._projections(x["image"], x["text"], rng))
        else:
            other = "text" if self.space == "image" else "image"
            axes = self._axes(x[other], rng)
            predictors = x[other] @ axes
            projections = self._projections(x[self.space], predictors, rng)
            regress = ridge_regression(predictors, self.ridge)
            maps = {
                self.space: projections,
                other: axes @ regress(x[self.space] @ projections),
            }
        self._set_states(maps, blocks, dict.fromkeys(BLOCKS, 0.0))
        self.n_bits_ = self.image_state_["offset"].size


def _check_widths(blocks):
    n_image, n_text = (blocks[block].shape[1] for block in BLOCKS)
    if n_image != n_text:
        raise ValueError(
            f"space='shared' needs blocks of equal width, got {n_image} image and {n_text} text "
            "features: set space='image' or space='text' to map one block into the other."
        )


@hasher
class SignHasher(SharedSpaceHasher):
    r"""Signs of the dimensions of a space, one bit each.

    .. math:: b_I = \mathrm{sign}(x_I - \bar x_I), \qquad b_T = \mathrm{sign}(x_T - \bar x_T)

    In a shared space, only the means are learned. This is the baseline for embeddings that are
    binarized without training.

    Parameters
    ----------
    n_bits : int, default=None
        Number of leading dimensions to use, which suits Matryoshka embeddings. ``None`` means all.
    n_components : int, default=None
        Largest number of principal axes to use of the block that is mapped by regression. ``None``
        means 512, or `n_bits` if that is more.

    Notes
    -----
    Binary embeddings of this kind have no single source. This library's own: the regression into
    the space of one block.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.hashing import SignHasher
    >>> rng = np.random.default_rng(0)
    >>> image = rng.normal(size=(100, 24))
    >>> text = image + rng.normal(size=(100, 24))
    >>> hasher = SignHasher(n_image_features=24).fit(np.hstack([image, text]))
    >>> hasher.encode_image(image).shape
    (100, 24)
    """

    n_bits: int | None = count(None, none=True, kw_only=False)

    def _projections(self, x, other, rng):
        n_dimensions = x.shape[1]
        n_bits = self.n_bits or n_dimensions
        if n_bits > n_dimensions:
            raise ValueError(
                f"n_bits={n_bits} is more than the {n_dimensions} dimensions of the space: ask for "
                "fewer bits, or use RandomHyperplaneHasher or ITQHasher."
            )
        return np.eye(n_dimensions, n_bits)


@hasher
class RandomHyperplaneHasher(SharedSpaceHasher):
    r"""Signs of random projections of a space: locality-sensitive hashing.

    .. math:: b = \mathrm{sign}(W^\top (x - \bar x)), \qquad W_{jk} \sim \mathcal{N}(0, 1)

    with the same :math:`W` for both modalities. The codes of two vectors at an angle :math:`\theta`
    are expected to differ in a share :math:`\theta / \pi` of the bits, so with more bits the
    Hamming distance approaches the angle.

    Parameters
    ----------
    n_components : int, default=None
        Largest number of principal axes to use of the block that is mapped by regression. ``None``
        means 512, or `n_bits` if that is more.

    Notes
    -----
    The regression into the space of one block is this library's own.

    References
    ----------
    M. S. Charikar: Similarity estimation techniques from rounding algorithms, STOC 2002.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.hashing import RandomHyperplaneHasher
    >>> rng = np.random.default_rng(0)
    >>> image = rng.normal(size=(100, 24))
    >>> text = image + rng.normal(size=(100, 24))
    >>> hasher = RandomHyperplaneHasher(128, n_image_features=24, random_state=0)
    >>> hasher.fit(np.hstack([image, text])).encode_text(text).shape
    (100, 128)
    """

    def _projections(self, x, other, rng):
        return rng.standard_normal((x.shape[1], self.n_bits))


@hasher
class ITQHasher(SharedSpaceHasher):
    r"""Iterative quantization of one space, after ridge regression into it where needed.

    The feature space is reduced to :math:`K` principal axes :math:`P` and rotated by :math:`R`,
    which minimizes the quantization error of the rows of both modalities, :math:`Z`:

    .. math:: \min_{B, R} \lVert B - Z P R \rVert^2, \quad B \in \{-1, 1\}^{2n \times K},
        \quad R R^\top = I

    With ``space="image"``, text features are first mapped to image features by ridge regression.
    The rows of :math:`Z` are then the images and these predictions, and the principal axes are
    those of the predictions, so that only what texts predict about images is encoded.

    Parameters
    ----------
    space : {"shared", "image", "text"}, default="image"
        The space that is encoded. ``"image"`` or ``"text"``: the space of that block; the other
        block is mapped into it by ridge regression. ``"shared"``: both blocks are embeddings in one
        space, with the same number of features, such as those of the two encoders of CLIP; each is
        centred by its own mean.
    n_iter : int, default=50
        Number of iterations of iterative quantization.

    Notes
    -----
    This library's own: the regression into the space of one block, and the axes of the predictions.
    The space of the more informative block is the best choice: that of images if texts are bags of
    words, and that of texts if both are CLIP embeddings. ``"shared"`` is a choice for few pairs or
    many bits.

    References
    ----------
    Y. Gong, S. Lazebnik, A. Gordo, F. Perronnin: Iterative quantization: a Procrustean approach to
    learning binary codes for large-scale image retrieval, TPAMI 35 (12), 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.hashing import ITQHasher
    >>> rng = np.random.default_rng(0)
    >>> topics = rng.normal(size=(200, 5))
    >>> image, text = topics @ rng.normal(size=(5, 16)), topics @ rng.normal(size=(5, 30))
    >>> hasher = ITQHasher(16, n_image_features=16, random_state=0).fit(np.hstack([image, text]))
    >>> hasher.encode_text(text).shape
    (200, 16)
    """

    space: str = choice("image", "shared", "image", "text")
    n_iter: int = count(50)

    def _projections(self, x, other, rng):
        basis = self._axes(x, rng)
        if self.space == "shared":
            spanned = np.hstack([basis, self._axes(other, rng)])
            basis = linalg.qr(spanned, mode="economic")[0]
            rows = np.vstack([x @ basis, other @ basis])
            axes = principal_axes(rows, self.n_bits, rng)[0]
        else:
            own = x @ basis
            predicted = other @ ridge_regression(other, self.ridge)(own)
            rows = np.vstack([own, predicted])
            axes = principal_axes(predicted, self.n_bits, rng)[0]
        return basis @ axes @ itq_rotation(rows @ axes, self.n_bits, rng, self.n_iter)
