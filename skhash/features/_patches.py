"""Image features that need no pretrained weights."""

from typing import Any, cast

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.cluster import MiniBatchKMeans
from sklearn.utils.validation import check_is_fitted

from .._estimators import Documented, fitting
from .._inputs.checks import check_integer, check_parameter
from .._inputs.seed import own_generator
from ._items import as_images, describe_image, open_image


class PatchFeaturizer(Documented, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    r"""Image features from a dictionary of patches: no pretrained weights, no labels.

    Square patches of the pictures are whitened and clustered by k-means; the centres are the
    dictionary. A patch :math:`p`, whitened, at the distances :math:`z_k` from the centres,
    activates

    .. math:: f_k(p) = \max(0, \bar{z} - z_k)

    where :math:`\bar{z}` is the mean of its distances, and the features of a picture are the means
    of the activations of its patches. They tell which colours and small shapes a picture holds, not
    where: a modest stand-in for :class:`CLIPFeaturizer` where its weights are not available, and
    a baseline. Follow it by ``PCA(whiten=True)``, since the features are strongly correlated.

    Parameters
    ----------
    n_patterns : int, default=256
        Number of centres, and so of features.
    image_size : int, default=64
        Pictures are resized to squares of this side, in pixels.
    patch_size : int, default=8
        Side of a patch, in pixels.
    stride : int, default=3
        Distance between neighbouring patches, in pixels.
    n_patches : int, default=40000
        Number of patches to learn the dictionary from, drawn evenly from all pictures.
    random_state : int, RandomState instance, Generator or None, default=None
        Seed of the patches drawn and of k-means.

    Attributes
    ----------
    mean_ : ndarray of shape (3 * patch_size**2,), float32
        Mean of the patches, each less its own brightness.
    whitening_ : ndarray of shape (3 * patch_size**2, 3 * patch_size**2), float32
        Matrix that decorrelates them.
    patterns_ : ndarray of shape (n_patterns, 3 * patch_size**2), float32
        The centres, whitened.

    References
    ----------
    A. Coates, A. Y. Ng, H. Lee: An analysis of single-layer networks in unsupervised feature
    learning, AISTATS 2011. Departing from it, patches keep their contrast, since that holds the
    colour, and activations are averaged over the whole picture.

    Examples
    --------
    >>> from skhash.datasets import make_scenes
    >>> from skhash.features import PatchFeaturizer
    >>> pictures = make_scenes(30, random_state=0).frame["image"]
    >>> PatchFeaturizer(n_patterns=16, random_state=0).fit_transform(pictures).shape
    (30, 16)
    """

    def __init__(
        self,
        n_patterns=256,
        *,
        image_size=64,
        patch_size=8,
        stride=3,
        n_patches=40000,
        random_state=None,
    ):
        self.n_patterns = n_patterns
        self.image_size = image_size
        self.patch_size = patch_size
        self.stride = stride
        self.n_patches = n_patches
        self.random_state = random_state

    def fit(self, X, y=None):
        """Learn the dictionary of patches.

        Parameters
        ----------
        X : sequence of shape (n_samples,)
            Pictures: paths, bytes, PIL images or uint8 arrays, or ``{"bytes": ..., "path": ...}``.
        y : object, default=None
            Not used.

        Returns
        -------
        self : object
            The fitted featurizer.

        Raises
        ------
        ValueError
            If a picture cannot be read, a parameter is out of range, or there are fewer patches
            than patterns.
        """
        for name in ("n_patterns", "image_size", "patch_size", "stride", "n_patches"):
            check_parameter(self, name, check_integer)
        if self.patch_size > self.image_size:
            raise ValueError(
                f"patch_size={self.patch_size} is more than image_size={self.image_size}: "
                "a patch must fit into a picture."
            )
        images = as_images(X)
        rng = own_generator(self.random_state)
        each = -(-self.n_patches // len(images))
        drawn = []
        for row, image in enumerate(images):
            patches = self._patches(image, row)
            drawn.append(patches[rng.permutation(len(patches))[:each]])
        patches = np.concatenate(drawn)
        if len(patches) < self.n_patterns:
            raise ValueError(
                f"n_patterns={self.n_patterns} is more than the {len(patches)} patches drawn: "
                "lower it, or give more pictures."
            )
        mean = patches.mean(axis=0)
        values, vectors = np.linalg.eigh(np.cov(patches - mean, rowvar=False))
        # A floor under the variances: the finest patterns of a picture are mostly noise.
        floor = 1e-3 + np.maximum(values, 0)
        whitening = ((vectors / np.sqrt(floor)) @ vectors.T).astype(np.float32)
        kmeans: Any = MiniBatchKMeans(
            self.n_patterns, batch_size=4096, n_init=cast(Any, 1), max_iter=20, random_state=rng
        )
        kmeans.fit((patches - mean) @ whitening)
        with fitting(self) as new:
            new.mean_, new.whitening_, new.patterns_ = mean, whitening, kmeans.cluster_centers_
            new._n_features_out = self.n_patterns
        return self

    def transform(self, X):
        """Compute the features of pictures.

        Parameters
        ----------
        X : sequence of shape (n_samples,)
            Pictures: paths, bytes, PIL images or uint8 arrays, or ``{"bytes": ..., "path": ...}``.

        Returns
        -------
        ndarray of shape (n_samples, n_patterns), float32
            The mean activation of each pattern.

        Raises
        ------
        ValueError
            If a picture cannot be read.
        """
        check_is_fitted(self)
        images = as_images(X)
        features = np.empty((len(images), len(self.patterns_)), dtype=np.float32)
        lengths = np.square(self.patterns_).sum(axis=1)
        for row, image in enumerate(images):
            patches = (self._patches(image, row) - self.mean_) @ self.whitening_
            squares = np.square(patches).sum(axis=1, keepdims=True) + lengths
            distances = np.sqrt(np.maximum(squares - 2 * patches @ self.patterns_.T, 0))
            activations = distances.mean(axis=1, keepdims=True) - distances
            features[row] = np.maximum(activations, 0).mean(axis=0)
        return features

    def _patches(self, image, row):
        """Cut a picture into patches, one a row, each less its own brightness."""
        try:
            picture = open_image(image)
        except ValueError as error:
            raise ValueError(
                f"an image cannot be read, row {row} ({describe_image(image)}): {error}; "
                "repair or drop it."
            ) from error
        pixels = picture.resize((self.image_size, self.image_size))
        array = np.asarray(pixels, dtype=np.float32) / 255
        side = self.patch_size
        windows = sliding_window_view(array, (side, side), axis=(0, 1))
        patches = windows[:: self.stride, :: self.stride].reshape(-1, 3 * side * side)
        return patches - patches.mean(axis=1, keepdims=True)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        return tags
