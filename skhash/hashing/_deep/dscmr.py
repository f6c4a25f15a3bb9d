"""Deep supervised cross-modal retrieval, as a hasher."""

import numpy as np
import pandas as pd

from ..._inputs.ids import as_array, check_ids
from ..._inputs.messages import shorten
from .._docs import hasher
from .._parameters import count, not_negative
from .lazy import F, networks, torch
from .supervised import SupervisedHasher


@hasher
class DSCMRHasher(SupervisedHasher):
    r"""Deep supervised cross-modal retrieval, DSCMR (supervised).

    Learns from labels: one linear classifier :math:`P` predicts the labels :math:`Y` from the real
    codes of both modalities,

    .. math:: P h^I \approx P h^T \approx y.

    The other terms of the loss are the likelihood of the similarities of pairs, and the distance
    between the two codes of a pair. Do not compare its scores with those of hashers that learn from
    pairs alone.

    Parameters
    ----------
    **Loss**

    likelihood_weight : float, default=10.0
        Weight of the likelihood of the similarities, :math:`\alpha`.
    invariance_weight : float, default=0.1
        Weight of the distance between the two codes of a pair, :math:`\beta`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes in ascending order; for indicators the number of each label.

    Notes
    -----
    With :math:`S_{ij} = 1` if pairs i and j share a label and 0 otherwise, and
    :math:`\Theta^{xy}_{ij} = \frac{1}{2} \cos(h^x_i, h^y_j)`, the loss of a batch of :math:`m` rows
    is

    .. math::
        L = \; & \sum_x \overline{\lVert P h^x - y \rVert}
        + \alpha\, [\ell(\Theta^{II}) + \ell(\Theta^{IT}) + \ell(\Theta^{TT})]
        + \beta\, \overline{\lVert h^I - h^T \rVert}, \\
        \ell(\Theta) = \; & \frac{1}{m^2} \sum_{ij} \left(\log (1 + e^{\Theta_{ij}})
        - S_{ij} \Theta_{ij}\right),

    where the bar is a mean over rows. Codes are the signs of :math:`h`.

    The paper learns real-valued vectors. The terms are those of its public code, which trains
    networks of features, sets ``likelihood_weight=0.001, hidden_units=2048, batch_size=100,
    max_iter=500, learning_rate=1e-4, weight_decay=0`` and 0.5 for the first beta of Adam, and keeps
    the epoch that is best on test labels.

    This library's own: the two networks share no layer (those of the paper share their last one,
    below the classifier); the vectors are outputs of a tanh, and their signs are the codes;
    similarities are 0 or 1 as in the paper (the public code counts the shared labels); the two
    halves of a pair are similar even if the row has no label; and the defaults, which were chosen
    by cross-validation with the labels of training pairs.

    References
    ----------
    L. Zhen, P. Hu, X. Wang, D. Peng: Deep supervised cross-modal retrieval, CVPR 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.hashing.supervised import DSCMRHasher
    >>> rng = np.random.default_rng(0)
    >>> topics = rng.normal(size=(200, 5))
    >>> image, text = topics @ rng.normal(size=(5, 16)), topics @ rng.normal(size=(5, 30))
    >>> X, y = np.hstack([image, text]), np.array(list("abcde"))[topics.argmax(axis=1)]
    >>> hasher = DSCMRHasher(16, n_image_features=16, max_iter=10, random_state=0).fit(X, y)
    >>> print(hasher.classes_)
    ['a' 'b' 'c' 'd' 'e']
    >>> hasher.score(X, y) > 0.5  # random codes score 0.2
    True
    """

    likelihood_weight: float = not_negative(10.0)
    invariance_weight: float = not_negative(0.1)
    max_iter: int = count(40)

    def partial_fit(self, X, y=None, *, groups=None, classes=None):
        """Train for one pass over a chunk of pairs.

        The first chunk fixes the mean and the spread of the features, and the classes. Each chunk
        counts as an epoch, so the tanh gets sharper with every chunk unless `alpha` is a number.

        Parameters
        ----------
        X : {array-like, CSR matrix, dataframe} of shape (n_samples, n_features)
            Features of the pairs, the image block first.
        y : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_labels)
            Their labels, as in `fit`. A chunk may be of one class; the first one only if `classes`
            names all.
        groups : array-like of shape (n_samples,), default=None
            As in `fit`.
        classes : array-like of shape (n_classes,), default=None
            All classes that any chunk has, for the first call; by default those of its chunk.

        Returns
        -------
        self : object
            The hasher.

        Raises
        ------
        ValueError
            If a chunk has a class that the first call did not know, the first chunk has only one
            and `classes` is None, or `classes` or the number of indicators changes.
        """
        return self._train(X, y, groups, classes=classes, go_on=True)

    def _encode_labels(self, labels, classes):
        if classes is not None:
            classes = as_array(classes, "classes")
            classes = np.unique(check_ids(classes, "classes", len(classes)))
        if not hasattr(self, "classes_"):
            if classes is None:
                classes = np.unique(labels) if labels.ndim == 1 else np.arange(labels.shape[1])
            self.classes_ = classes
        elif classes is not None and not np.array_equal(classes, self.classes_):
            raise ValueError(
                f"classes must be those of the first call, {shorten(list(self.classes_))}, got "
                f"{shorten(list(classes))}."
            )
        return self._known(labels)

    def _known(self, labels):
        """Return indicators as they are, and classes as their positions in `classes_`."""
        n_classes = len(self.classes_)
        if labels.ndim == 2:
            if labels.shape[1] != n_classes:
                raise ValueError(
                    f"y has indicators of {labels.shape[1]} labels, but there are {n_classes} "
                    "classes: give a column for each."
                )
            return labels
        known = pd.Index(self.classes_).get_indexer(labels)
        if (known < 0).any():
            unknown = labels[known < 0].tolist()[0]
            raise ValueError(
                f"y has the class {shorten(unknown)}, which the first call did not "
                "know: give all classes there, as in partial_fit(X, y, classes=...), or fit again."
            )
        if n_classes < 2:
            raise ValueError(
                "the first chunk has only one class: give all of them, as in partial_fit(X, y, "
                "classes=...)."
            )
        return known

    def _networks(self, widths, generator):
        encoders = super()._networks(widths, generator)
        return {
            **encoders,
            "classifier": networks.linear(self.n_bits, len(self.classes_), generator),
        }

    def _targets(self, run, rows):
        """Return indicators of the labels, (m, n_classes)."""
        y = torch.from_numpy(run.pairs.labels[rows]).to(run.device)
        return (torch.nn.functional.one_hot(y, len(self.classes_)) if y.ndim == 1 else y).float()

    def _loss(self, run, batch):
        image, text = batch.codes["image"], batch.codes["text"]
        y, classify = self._targets(run, batch.rows), run.networks["classifier"]
        s = self._similar(run, batch.rows)
        units = F.unit_rows(image), F.unit_rows(text)
        pairs = (units[0], units[0]), units, (units[1], units[1])
        return {
            "classification": sum(_distance(classify(h), y) for h in (image, text)),
            "likelihood": self.likelihood_weight
            * sum(F.pairwise_likelihood(a @ b.T / 2, s) for a, b in pairs),
            "invariance": self.invariance_weight * _distance(image, text),
        }


def _distance(a, b):
    """Return the mean Euclidean distance of rows."""
    return torch.linalg.vector_norm(a - b, dim=1).mean()
