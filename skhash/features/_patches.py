"""Image features that need no pretrained weights."""

from typing import Any, cast

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.cluster import MiniBatchKMeans
from sklearn.utils.validation import check_is_fitted

from .._estimators import Documented, fitting
from .._inputs.checks import check_choice, check_integer, check_parameter, check_verbose
from .._inputs.seed import own_generator
from ._clip.messages import failed_rows, refuse, warn_of_failed
from ._items import as_images, distinct, open_image, progress_bar

_IN_MEMORY = 1 << 31  # bytes of resized pictures that fit_transform keeps; more are opened again


class PatchFeaturizer(Documented, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    r"""Image features from a dictionary of patches: no pretrained weights, no labels.

    Square patches of the pictures are whitened and clustered by k-means. The centres are the
    dictionary. The activations of a whitened patch :math:`p` at distances :math:`z_k` from the
    centres are

    .. math:: f_k(p) = \max(0, \bar{z} - z_k)

    where :math:`\bar{z}` is the mean of its distances. The features of a picture are the mean
    activations over its patches. They describe which colours and small shapes occur in a picture,
    but not where. Use them as a baseline, or if the weights of :class:`CLIPFeaturizer` are not
    available. The features are strongly correlated, so apply ``PCA(whiten=True)`` to them.

    Parameters
    ----------
    n_patterns : int, default=256
        Number of centres, which is the number of features.
    image_size : int, default=64
        Side length of the squares to which pictures are resized, in pixels.
    patch_size : int, default=8
        Side length of a patch, in pixels.
    stride : int, default=3
        Distance between neighbouring patches, in pixels.
    n_patches : int, default=40000
        Number of patches to learn the dictionary from, drawn evenly from all distinct pictures.
    on_error : {"raise", "nan"}, default="raise"
        What to do with a picture that cannot be read: ``"raise"`` raises a ValueError with its row
        and path; ``"nan"`` returns a row of NaN, warns once, and adds a row to `errors_`, and
        ``fit`` leaves it out. The number of rows is always that of `X`.
    random_state : int, RandomState instance, Generator or None, default=None
        Seed of the patches drawn and of k-means.
    verbose : int, default=0
        Whether to show a progress bar, with the pictures per second and the remaining time.

    Attributes
    ----------
    mean_ : ndarray of shape (3 * patch_size**2,), float32
        Mean of the patches after the mean brightness of each is subtracted.
    whitening_ : ndarray of shape (3 * patch_size**2, 3 * patch_size**2), float32
        Matrix that decorrelates the patches.
    patterns_ : ndarray of shape (n_patterns, 3 * patch_size**2), float32
        The centres of the clusters of whitened patches.
    errors_ : DataFrame of shape (n_failed, 3)
        With ``on_error="nan"``, the pictures that the last `fit`, `fit_transform` or `transform`
        could not read: ``row`` in `X`, ``item`` (the path, or the type of the picture) and
        ``message``.

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
        on_error="raise",
        random_state=None,
        verbose=0,
    ):
        self.n_patterns = n_patterns
        self.image_size = image_size
        self.patch_size = patch_size
        self.stride = stride
        self.n_patches = n_patches
        self.on_error = on_error
        self.random_state = random_state
        self.verbose = verbose

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
            If a picture cannot be read and `on_error` is ``"raise"``, a parameter is out of range,
            or there are fewer patches than patterns.
        """
        with fitting(self) as new:
            new._fit(X, keep=False)
        return self

    def fit_transform(self, X, y=None):
        """Learn the dictionary of patches and compute the features, opening each picture once.

        Parameters
        ----------
        X : sequence of shape (n_samples,)
            As in `fit`.
        y : object, default=None
            Not used.

        Returns
        -------
        ndarray of shape (n_samples, n_patterns), float32
            As in `transform`.
        """
        with fitting(self) as new:
            return new._fit(X, keep=True)

    def _fit(self, X, *, keep):
        """Learn the dictionary; with `keep`, return the features of the pictures."""
        for name in ("n_patterns", "image_size", "patch_size", "stride", "n_patches"):
            check_parameter(self, name, check_integer)
        if self.patch_size > self.image_size:
            raise ValueError(
                f"patch_size={self.patch_size} is more than image_size={self.image_size}: "
                "a patch must fit into a picture."
            )
        check_choice(self.on_error, "on_error", ("raise", "nan"))
        check_verbose(self.verbose)
        images = as_images(X)
        first, inverse = distinct(images)
        rng = own_generator(self.random_state)
        each = -(-self.n_patches // len(first))
        shape = len(first), self.image_size, self.image_size, 3
        kept = np.empty(shape, np.uint8) if keep and np.prod(shape) <= _IN_MEMORY else None
        drawn, troubles = [], {}
        for position, pixels in self._read(images, first, troubles):
            if kept is not None:
                kept[position] = pixels
            patches = self._patches(pixels)
            drawn.append(patches[rng.permutation(len(patches))[:each]])
        if not drawn:
            message = next(iter(troubles.values()))
            raise ValueError(f"none of the images can be read, the first one: {message}.")
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
        self.mean_, self.whitening_, self.patterns_ = mean, whitening, kmeans.cluster_centers_
        self._n_features_out = self.n_patterns
        if self.on_error == "nan":
            self.errors_ = failed_rows(troubles, images, inverse)
        if not keep:
            if troubles:
                warn_of_failed(self.errors_, len(images), became="were left out")
            return None
        if kept is None:
            return self._transform(images, first, inverse)
        read = ((row, kept[row]) for row in range(len(first)) if row not in troubles)
        return self._finish(read, troubles, images, inverse)

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
            If a picture cannot be read and `on_error` is ``"raise"``.
        """
        check_is_fitted(self)
        images = as_images(X)
        return self._transform(images, *distinct(images))

    def _transform(self, images, first, inverse):
        troubles = {}
        return self._finish(self._read(images, first, troubles), troubles, images, inverse)

    def _finish(self, read, troubles, images, inverse):
        """Compute the features of pixels by their positions, and report what was not read."""
        features = np.full((inverse.max() + 1, len(self.patterns_)), np.nan, np.float32)
        lengths = np.square(self.patterns_).sum(axis=1)
        for position, pixels in read:
            patches = (self._patches(pixels) - self.mean_) @ self.whitening_
            squares = np.square(patches).sum(axis=1, keepdims=True) + lengths
            distances = np.sqrt(np.maximum(squares - 2 * patches @ self.patterns_.T, 0))
            activations = distances.mean(axis=1, keepdims=True) - distances
            features[position] = np.maximum(activations, 0).mean(axis=0)
        if self.on_error == "nan":
            self.errors_ = failed_rows(troubles, images, inverse)
        if troubles:
            warn_of_failed(self.errors_, len(images))
        return features if len(features) == len(images) else features[inverse]

    def _read(self, images, first, troubles):
        """Yield the position and the pixels of each distinct picture; note why others have none."""
        side = self.image_size, self.image_size
        with progress_bar(len(first), "images", self.verbose) as progress:
            for position, row in enumerate(first):
                image = images[row]
                try:
                    pixels = np.asarray(open_image(image).resize(side))
                except ValueError as error:
                    troubles[position] = str(error)
                    if self.on_error == "raise":
                        refuse(troubles, images, first, "image")
                else:
                    yield position, pixels
                progress.update()

    def _patches(self, pixels):
        """Cut a picture into patches, one a row, each less its own brightness."""
        array = pixels.astype(np.float32) / 255
        side = self.patch_size
        windows = sliding_window_view(array, (side, side), axis=(0, 1))
        patches = windows[:: self.stride, :: self.stride].reshape(-1, 3 * side * side)
        return patches - patches.mean(axis=1, keepdims=True)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        return tags
