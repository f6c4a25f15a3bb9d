"""Fusion similarity hashing."""

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from ._docs import hasher
from ._linear import LinearHasher, ridge_regression, signs
from ._parameters import count, not_negative, positive


@hasher
class FSHHasher(LinearHasher):
    r"""Fusion similarity hashing, FSH.

    A graph :math:`S` contains the similarities of each pair to a few pairs, the anchors, in both
    modalities. Binary codes of the pairs, :math:`B`, and of the anchors, :math:`A`, are trained to
    agree with it, and the codes of the pairs are predicted from the features by ridge regression:

    .. math::
        \max_{A, B, W_I, W_T} \mathrm{tr}(B^\top S A) - \lambda \sum_{t \in \{I, T\}}
        \bigl( \lVert B - X_t W_t \rVert^2 + r_t \lVert W_t \rVert^2 \bigr),
        \quad A, B \in \{-1, 1\}

    The following are computed in turn, each in closed form: :math:`B = \mathrm{sign}(S A + 2
    \lambda \sum_t X_t W_t)`, :math:`A = \mathrm{sign}(S^\top B)`, and ridge regression.

    The image similarity of pair :math:`i` and anchor :math:`j` compares two sets of anchors: the
    `n_neighbors` anchors whose images are nearest to image :math:`i`, and those whose texts are
    nearest to text :math:`j`. It is the mean of :math:`\exp(-d^2 / 2)` over distances :math:`d`
    between images of the first and of the second set. For the text similarity, images and texts are
    exchanged. :math:`S` is the mean of both. No labels are used.

    Parameters
    ----------
    n_anchors : int, default=50
        Number of anchors, drawn at random.
    n_neighbors : int, default=10
        Number of nearest anchors that represent a pair.
    mapping_weight : float, default=300.0
        Weight of predicting the codes from the features, :math:`\lambda`.
    ridge : float, default=0.1
        Penalty of the ridge regression, :math:`r_t`, in units of the mean variance.
    max_iter : int, default=100
        Largest number of alternations. They stop earlier if no code changes.

    Attributes
    ----------
    n_iter_ : int
        Number of alternations.

    Notes
    -----
    Inferred from public code, with three changes: the two modalities have equal weights, because
    the adaptive weights of that code do not sum to 1; similarities are computed from squared
    distances; and the regression has a ridge penalty, because the covariance matrix has no inverse
    if there are more features than pairs.

    References
    ----------
    H. Liu, R. Ji, Y. Wu, F. Huang, B. Zhang: Cross-modality binary code learning via fusion
    similarity hashing, CVPR 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.hashing import FSHHasher
    >>> rng = np.random.default_rng(0)
    >>> topics = rng.normal(size=(200, 5))
    >>> image, text = topics @ rng.normal(size=(5, 16)), topics @ rng.normal(size=(5, 30))
    >>> hasher = FSHHasher(16, n_image_features=16, random_state=0).fit(np.hstack([image, text]))
    >>> hasher.encode_text(text).shape
    (200, 16)
    """

    n_anchors: int = count(50)
    n_neighbors: int = count(10)
    mapping_weight: float = positive(300.0)
    ridge: float = not_negative(0.1)
    max_iter: int = count(100)

    def _directions(self, image, text, rng):
        blocks = image, text
        anchors = rng.choice(len(image), min(self.n_anchors, len(image)), replace=False)
        graph = _fused_graph(image, text, anchors, self.n_neighbors)
        regressions = [ridge_regression(x, self.ridge) for x in blocks]
        maps = [rng.standard_normal((x.shape[1], self.n_bits)) for x in blocks]
        codes = signs(image @ maps[0] + text @ maps[1])
        anchor_codes = codes[anchors]
        for iteration in range(self.max_iter):
            projected = image @ maps[0] + text @ maps[1]
            previous, self.n_iter_ = codes, iteration + 1
            codes = signs(graph @ anchor_codes + 2 * self.mapping_weight * projected)
            if iteration and np.array_equal(codes, previous):
                break
            anchor_codes = signs(graph.T @ codes)
            maps = [regress(codes) for regress in regressions]
        return maps


def _fused_graph(image, text, anchors, n_neighbors):
    """Return the similarity of pairs and anchors that fuses both modalities, (n, n_anchors)."""
    nearest, alike = [], []
    for x in (image, text):
        k = min(n_neighbors, len(anchors))
        # A tree is searched in tasks that change the filters of warnings of all threads.
        knn = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(x[anchors])
        nearest.append(knn.kneighbors_graph(x) / knn.n_neighbors)
        alike.append(np.exp(-cdist(x[anchors], x[anchors], "sqeuclidean") / 2))
    near_image, near_text = nearest
    return (
        near_image @ (alike[0] @ near_text[anchors].T)
        + near_text @ (alike[1] @ near_image[anchors].T)
    ) / 2
