"""Inter-media hashing."""

import numpy as np
from scipy.sparse import csgraph
from scipy.sparse.linalg import LinearOperator, eigsh
from sklearn.neighbors import NearestNeighbors

from ._docs import hasher
from ._linear import LinearHasher, ridge_regression
from ._moments import of_one_sign
from ._parameters import count, not_negative


@hasher
class IMHHasher(LinearHasher):
    r"""Inter-media hashing, IMH.

    Each pair has a latent vector, a row of :math:`F`, which is similar for neighbours in either
    modality, and which is predicted from each modality by ridge regression:

    .. math::
        \min_{F, W_I, W_T} \sum_{t \in \{I, T\}} \lVert F - X_t W_t \rVert^2
        + r_t \lVert W_t \rVert^2 + \lambda\, \mathrm{tr}(F^\top L_t F),
        \quad F^\top F = I, \quad F^\top 1 = 0

    where :math:`L_t` is the Laplacian of a nearest-neighbour graph. The columns of :math:`F` are
    the eigenvectors with the smallest eigenvalues. The real codes are :math:`X_t W_t`, and the
    threshold of a bit is their median, so that every bit splits the training pairs into halves. No
    labels are used.

    Parameters
    ----------
    n_neighbors : int, default=5
        Number of neighbours of a pair in a graph.
    graph_weight : float, default=0.1
        Weight of the graphs, :math:`\lambda`.
    ridge : float, default=0.1
        Penalty of the ridge regression, :math:`r_t`, in units of the mean variance.
    n_anchors : int, default=5000
        Largest number of pairs to compute the eigenvectors from. If there are more, this many are
        drawn at random. The medians are those of all pairs.

    Notes
    -----
    In the paper, the latent vectors of an image and a text may differ, with a penalty. In public
    code the penalty is so large that they cannot differ; here they are the same. The public code
    uses the medians of the test set; here they are those of the training set. This library's own:
    the weight :math:`1 / k` of edges, the constraint on the constant vector, and the defaults.

    Rounding decides which of the neighbours at equal distance are in a graph. Features with many
    such ties, for example bags of words, may therefore get other bits with another number of
    threads.

    References
    ----------
    J. Song, Y. Yang, Y. Yang, Z. Huang, H. T. Shen: Inter-media hashing for large-scale retrieval
    from heterogeneous data sources, SIGMOD 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.hashing import IMHHasher
    >>> rng = np.random.default_rng(0)
    >>> topics = rng.normal(size=(200, 5))
    >>> image, text = topics @ rng.normal(size=(5, 16)), topics @ rng.normal(size=(5, 30))
    >>> hasher = IMHHasher(16, n_image_features=16, random_state=0).fit(np.hstack([image, text]))
    >>> hasher.encode_text(text).shape
    (200, 16)
    """

    n_neighbors: int = count(5)
    graph_weight: float = not_negative(0.1)
    ridge: float = not_negative(0.1)
    n_anchors: int = count(5000)

    def _directions(self, image, text, rng):
        n_rows = min(len(image), self.n_anchors)
        if self.n_bits >= n_rows:
            raise ValueError(
                f"n_bits={self.n_bits} needs more than the {n_rows} pairs to learn from: ask for "
                "fewer bits, or give more pairs (n_anchors counts them)."
            )
        rows = np.sort(rng.choice(len(image), n_rows, replace=False))
        blocks = image[rows], text[rows]
        regressions = [ridge_regression(x, self.ridge) for x in blocks]
        graphs = [_laplacian(x, self.n_neighbors) for x in blocks]

        def loss(f):
            total = 4 * f.mean()  # more than any eigenvalue that is wanted, for the constant vector
            for x, regress, laplacian in zip(blocks, regressions, graphs, strict=True):
                total = total + f - x @ regress(f) + self.graph_weight * (laplacian @ f)
            return total

        shape = n_rows, n_rows
        operator = LinearOperator(shape, matvec=loss, dtype=np.float64)  # pyright: ignore
        latent = eigsh(operator, self.n_bits, which="SA", v0=rng.standard_normal(n_rows))[1]
        latent = of_one_sign(latent)
        return [regress(latent) for regress in regressions]

    def _thresholds(self, codes):
        # Just below, so that rounding decides no bit of the pair in the middle.
        return np.median(codes, axis=0) - 1e-4 * codes.std(axis=0)


def _laplacian(x, n_neighbors):
    """Return the Laplacian of the symmetric graph of nearest neighbours, CSR, of mean degree 1."""
    # A tree is searched in tasks that change the filters of warnings of all threads.
    knn = NearestNeighbors(n_neighbors=min(n_neighbors, len(x) - 1), algorithm="brute").fit(x)
    graph = knn.kneighbors_graph() / knn.n_neighbors
    return csgraph.laplacian((graph + graph.T) / 2).tocsr()
