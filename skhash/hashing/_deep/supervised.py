"""Base of the hashers that learn from labels."""

import pandas as pd

from ..._ranking.relevance import check_labels, held_labels
from .._docs import hasher
from .base import DeepHasher
from .lazy import torch


@hasher
class SupervisedHasher(DeepHasher):
    """Base of the hashers that learn from labels.

    A method defines `_loss`, and overrides `_encode_labels` where it must know the classes.

    Parameters
    ----------
    early_stopping : bool, default=False
        Whether to hold out a part of the pairs, to stop when the retrieval of held-out pairs with
        the same labels no longer improves, and to keep the best weights. Together with
        `warm_start`, use an integer `random_state`: otherwise the next `fit` holds out other pairs,
        and most of these have already been used for training.

    Attributes
    ----------
    validation_scores_ : list of float
        Validation score of each epoch: mean average precision among validation pairs, averaged
        over both directions; items that share a label are relevant. Empty without validation pairs.
    """

    # What a method defines.

    def _encode_labels(self, labels, classes):
        """Return classes as integers from 0, and indicators as they are."""
        return pd.factorize(labels)[0] if labels.ndim == 1 else labels

    # What every method does.

    def fit(self, X, y=None, *, groups=None, X_val=None, y_val=None):
        """Learn the two encoders from pairs and their labels.

        Parameters
        ----------
        X : {array-like, CSR matrix, dataframe} of shape (n_samples, n_features)
            Features of the pairs, the image block first. Dense, sparse and memory-mapped features
            are read a batch at a time.
        y : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_labels)
            The class of each pair, integers or strings, or indicators of its labels, 0 or 1. A row
            without any label shares none with other rows.
        groups : array-like of shape (n_samples,), default=None
            Rows of one group, such as the captions of one image, are similar whatever their labels.
        X_val : {array-like, CSR matrix, dataframe} of shape (n_val, n_features), default=None
            Pairs to compute `validation_scores_` on, instead of a part of `X`.
        y_val : {array-like, sparse matrix} of shape (n_val,) or (n_val, n_labels), default=None
            Their labels; by default only the other half of a validation pair is relevant.

        Returns
        -------
        self : object
            The fitted hasher.

        Raises
        ------
        ValueError
            If `y` is None, has another length, misses a value or gives all rows the same labels; if
            `y_val` comes without `X_val`, a block is missing, a feature is not finite, a parameter
            is out of range or there are fewer than two rows.
        TypeError
            If a parameter has the wrong type, or `X` is sparse but not CSR.
        FloatingPointError
            If the loss stops being finite before the encoders are trained for one whole epoch.

        Warns
        -----
        ConvergenceWarning
            If the loss stops being finite later, or Ctrl-C is pressed: the hasher has the weights
            of the last whole epoch, or of the best one with `early_stopping`. If there are fewer
            codes than half the labels, or the codes of held-out pairs differ like those of
            unrelated rows while those of training pairs agree.
        """
        return self._train(X, y, groups, X_val, y_val)

    def partial_fit(self, X, y=None, *, groups=None):
        """Train for one pass over a chunk of pairs.

        The first chunk fixes the mean and the spread of the features. Each chunk counts as an
        epoch, so the tanh gets sharper with every chunk unless `alpha` is a number.

        Parameters
        ----------
        X : {array-like, CSR matrix, dataframe} of shape (n_samples, n_features)
            Features of the pairs, the image block first.
        y : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_labels)
            Their labels, as in `fit`. A chunk may be of one class.
        groups : array-like of shape (n_samples,), default=None
            As in `fit`.

        Returns
        -------
        self : object
            The hasher.
        """
        return self._train(X, y, groups, go_on=True)

    def _check_labels(self, y, n_pairs, *, classes=None, partial=False):
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y "
                "is None: give the class of each pair, or indicators of its labels. The hashers of "
                "skhash.hashing learn from pairs alone."
            )
        labels = check_labels(y, n_pairs, "y", "pairs")
        if labels.ndim == 2:
            labels = held_labels(labels)
        if not partial and (labels == labels[0]).all():
            raise ValueError(
                f"all {n_pairs} rows of y have the same labels, so there is nothing to learn from: "
                "give two classes or more."
            )
        return self._encode_labels(labels, classes)

    def _similar(self, run, rows):
        """Return 1 for rows that share a label or belong together, else 0, (m, m)."""
        y = torch.from_numpy(run.pairs.labels[rows]).to(run.device)
        shared = y[:, None] == y if y.ndim == 1 else y.float() @ y.float().T > 0
        return (shared | run.same(rows)).float()

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags
