"""Collective matrix factorization hashing."""

import numpy as np
from scipy import linalg

from ._docs import hasher
from ._linear import LinearHasher, ridge_regression
from ._parameters import count, not_negative, positive


@hasher
class CMFHHasher(LinearHasher):
    r"""Collective matrix factorization hashing, CMFH.

    Factorizes the features of both modalities with a common latent vector of each pair, a row of
    :math:`Y`, and learns to predict it from each modality by ridge regression:

    .. math::
        \min \sum_{t \in \{I, T\}} \alpha_t \bigl( \lVert X_t - Y U_t \rVert^2
        + \mu \lVert Y - X_t W_t \rVert^2 + \mu r_t \lVert W_t \rVert^2
        + \gamma (\lVert U_t \rVert^2 + \lVert Y \rVert^2) \bigr)

    :math:`U_t`, :math:`Y` and :math:`W_t` are updated in turn, each in closed form. The real codes
    are :math:`X_t W_t`, and the threshold of a bit is their mean. No labels are used.

    Parameters
    ----------
    image_weight : float, default=0.5
        Weight of the image features, :math:`\alpha_I`.
    text_weight : float, default=0.5
        Weight of the text features, :math:`\alpha_T`.
    mapping_weight : float, default=10000.0
        Weight of predicting the latent vectors from the features, :math:`\mu`.
    penalty : float, default=0.01
        L2 penalty of the factors, :math:`\gamma`.
    ridge : float, default=0.03
        Penalty of the ridge regression, :math:`r_t`, in units of the mean variance.
    n_iter : int, default=25
        Number of alternations.

    Notes
    -----
    The objective is the one that the authors' updates minimize. In the paper, :math:`\mu` is 100
    for features that are not scaled, whose rows are short. Here their mean squared length is 1, and
    a :math:`\mu` of 10,000 scores higher on Wiki. In public code, :math:`\gamma` is the only
    penalty of :math:`W_t`, which has no effect when there are many rows. This library's own: the
    ridge, and the initialization of :math:`Y` by a normal instead of a uniform distribution.

    References
    ----------
    G. Ding, Y. Guo, J. Zhou: Collective matrix factorization hashing for multimodal data, CVPR
    2014.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.hashing import CMFHHasher
    >>> rng = np.random.default_rng(0)
    >>> topics = rng.normal(size=(200, 5))
    >>> image, text = topics @ rng.normal(size=(5, 16)), topics @ rng.normal(size=(5, 30))
    >>> hasher = CMFHHasher(16, n_image_features=16, random_state=0).fit(np.hstack([image, text]))
    >>> hasher.encode_text(text).shape
    (200, 16)
    """

    image_weight: float = positive(0.5)
    text_weight: float = positive(0.5)
    mapping_weight: float = positive(10_000.0)
    penalty: float = positive(0.01)
    ridge: float = not_negative(0.03)
    n_iter: int = count(25)

    def _directions(self, image, text, rng):
        mu, gamma = self.mapping_weight, self.penalty * np.eye(self.n_bits)
        views = [(self.image_weight, image), (self.text_weight, text)]
        regressions = [ridge_regression(x, self.ridge) for _, x in views]
        latent = rng.standard_normal((len(image), self.n_bits))
        maps = [regress(latent) for regress in regressions]
        for _ in range(self.n_iter):
            gram, total = 0.0, 0.0
            for (weight, x), mapping in zip(views, maps, strict=True):
                basis = _solve(latent.T @ latent + gamma, latent.T @ x)
                gram += weight * (basis @ basis.T + mu * np.eye(self.n_bits) + gamma)
                total += weight * (basis @ x.T + mu * (x @ mapping).T)
            latent = _solve(gram, total).T
            maps = [regress(latent) for regress in regressions]
        return maps

    def _thresholds(self, codes):
        return codes.mean(axis=0)


def _solve(gram, values):
    return linalg.solve(gram, values, assume_a="pos")
