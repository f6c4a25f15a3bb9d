"""Base of the hashers that make codes reproduce an affinity of pairs."""

import math
import warnings
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from .._blocks import BLOCKS, BlockTransformer, block_names
from .._fitting import fitting
from .._ids import encode_ids
from .._seed import draw_seed
from ..codes import convert_codes
from . import _functional as F
from ._inputs import check_block, check_pairs, split_blocks
from ._networks import Encoder
from ._pairs import Pairs
from ._parameters import check_parameters
from ._training import hold_out, paired_score, start, train, wake


@dataclass(eq=False, repr=False)
class AffinityHasher(BlockTransformer):
    """Base of the hashers that make codes reproduce an affinity of pairs.

    A method sets `_affinity` and `_loss`, and overrides `_target`, `_step`, `_networks` or
    `_prepare` where it departs from the rest of the family. Parameters are dataclass fields: a
    method adds its own, and no constructor is written twice.
    """

    n_bits: int = 64
    _: KW_ONLY
    n_image_features: int | None = None
    center: bool = True
    hidden_units: int = 1024
    alpha: str | float = "sqrt"
    max_iter: int = 60
    batch_size: int = 128
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 5e-4
    early_stopping: bool = False
    validation_fraction: float = 0.1
    n_iter_no_change: int = 5
    tol: float = 1e-4
    warm_start: bool = False
    output: str = "bits"
    device: str = "auto"
    random_state: Any = None
    verbose: int = 0

    # What a method says.

    def _affinity(self, image, text):
        """Return the target affinity of a batch, (m, m), from standardized features, (m, d)."""
        raise NotImplementedError

    def _loss(self, networks, features, codes, s):
        """Return the weighted loss terms of a batch, a dict of scalar tensors."""
        raise NotImplementedError

    def _networks(self, widths, generator):
        """Make the network of each block, given its number of features."""
        return torch.nn.ModuleDict(
            {b: Encoder(d, self.hidden_units, self.n_bits, generator) for b, d in widths.items()}
        )

    def _prepare(self, batches):
        """Learn what the affinity needs from batches of standardized features, before training."""

    def _target(self, pairs):
        """Return the function of a batch's rows and features that gives its target affinity."""
        groups = None if pairs.groups is None else torch.from_numpy(pairs.groups)

        def target(rows, features):
            s = self._affinity(features["image"], features["text"])
            return s if groups is None else F.join_groups(s, groups[rows].to(s.device))

        return target

    def _step(self, networks, optimizer, features, s, alpha):
        """Take one step of the optimizer; return the loss terms."""
        codes = {b: networks[b].encode(features[b], alpha) for b in BLOCKS}
        terms = self._loss(networks, features, codes, s)
        optimizer.zero_grad(set_to_none=True)
        torch.stack(tuple(terms.values())).sum().backward()
        optimizer.step()
        return terms

    def _sharpness(self, epoch):
        """Return the factor before the tanh in an epoch, counted from 0."""
        return math.sqrt(epoch + 1) if self.alpha == "sqrt" else float(self.alpha)

    # What every method does.

    def fit(self, X, y=None, *, groups=None, X_val=None):
        """Learn the two encoders from pairs.

        Parameters
        ----------
        X : {array-like, CSR matrix, dataframe} of shape (n_samples, n_features)
            Features of the pairs, the image block first. Dense, sparse and memory-mapped features
            are read a batch at a time.
        y : object, default=None
            Not used: the codes are learned from pairs alone.
        groups : array-like of shape (n_samples,), default=None
            Rows of one group, such as the captions of one image, are given the affinity of a row
            with itself.
        X_val : {array-like, CSR matrix, dataframe} of shape (n_val, n_features), default=None
            Pairs to compute `validation_scores_` on, instead of a part of `X`.

        Returns
        -------
        self : object
            The fitted hasher.

        Raises
        ------
        ValueError
            If a block is missing, a feature is not finite, a parameter is out of range or there are
            fewer than two rows.
        TypeError
            If a parameter has the wrong type, or `X` is sparse but not CSR.
        FloatingPointError
            If the loss stops being finite.
        """
        self._check_parameters()
        fresh = not (self.warm_start and self.__sklearn_is_fitted__())
        with fitting(self) as new:
            pairs = new._check_pairs(X, groups, reset=fresh)
            if len(pairs) < self.batch_size:
                warnings.warn(
                    f"batch_size={self.batch_size} is more than the {len(pairs)} rows: each epoch "
                    "is one batch of all rows.",
                    UserWarning,
                    stacklevel=2,
                )
            seed, validation = draw_seed(self.random_state), None
            if X_val is not None:
                validation = new._check_pairs(X_val, None, reset=False)
            elif self.early_stopping:
                pairs, validation = hold_out(pairs, self.validation_fraction, seed)
            train(self, new, pairs, validation, n_epochs=self.max_iter, seed=seed, fresh=fresh)
        return self

    def partial_fit(self, X, y=None, *, groups=None):
        """Train for one pass over a chunk of pairs.

        The first chunk fixes the mean and the spread of the features. Each chunk counts as an
        epoch, so the tanh gets sharper with every chunk unless `alpha` is a number.

        Parameters
        ----------
        X : {array-like, CSR matrix, dataframe} of shape (n_samples, n_features)
            Features of the pairs, the image block first.
        y : object, default=None
            Not used.
        groups : array-like of shape (n_samples,), default=None
            As in `fit`.

        Returns
        -------
        self : object
            The hasher.
        """
        self._check_parameters()
        fresh = not self.__sklearn_is_fitted__()
        with fitting(self) as new:
            pairs = new._check_pairs(X, groups, reset=fresh)
            seed = draw_seed(self.random_state)
            train(self, new, pairs, n_epochs=1, seed=seed, fresh=fresh, go_on=True)
        return self

    def transform(self, X):
        """Encode whichever blocks a table holds.

        Parameters
        ----------
        X : {array-like, CSR matrix, dataframe} of shape (n_samples, n_features)
            Features of pairs, or a dataframe with the columns of one block alone.

        Returns
        -------
        ndarray of shape (n_samples, n_columns)
            Image codes, then text codes, or the codes of the one block, in the format that `output`
            names (:mod:`skhash.codes`); a dataframe if `set_output` says so.
        """
        check_is_fitted(self)
        blocks = split_blocks(self, X)
        codes = [self._encode(block, values) for block, values in blocks.items()]
        names = np.concatenate([self._code_names(block) for block in blocks])
        return self._wrap_output(np.hstack(codes), names, X)

    def encode_image(self, X):
        """Encode image features.

        Parameters
        ----------
        X : {array-like, CSR matrix, dataframe} of shape (n_samples, n_image_features)
            The image block alone.

        Returns
        -------
        ndarray of shape (n_samples, n_columns)
            The codes, in the format that `output` names.
        """
        check_is_fitted(self)
        return self._encode("image", check_block(self, X, "image"))

    def encode_text(self, X):
        """Encode text features.

        Parameters
        ----------
        X : {array-like, CSR matrix, dataframe} of shape (n_samples, n_text_features)
            The text block alone.

        Returns
        -------
        ndarray of shape (n_samples, n_columns)
            The codes, in the format that `output` names.
        """
        check_is_fitted(self)
        return self._encode("text", check_block(self, X, "text"))

    def affinity(self, X):
        """Compute the target affinity of pairs, which the codes are taught to reproduce.

        It can be computed before fit, to look at the teacher before any training: then the features
        are standardized by their own mean and spread, after fit by those seen in fit.

        Parameters
        ----------
        X : {array-like, CSR matrix, dataframe} of shape (n_samples, n_features)
            Features of pairs.

        Returns
        -------
        ndarray of shape (n_samples, n_samples), float32
            The affinity, with all rows as one batch.
        """
        self._check_parameters()
        fitted = self.__sklearn_is_fitted__()
        teacher: Any = self if fitted else clone(self)
        pairs = teacher._check_pairs(X, None, reset=not fitted)
        live = wake(self) if fitted else start(teacher, pairs, seed=0)
        features = pairs.tensors(slice(None), live.networks, live.device)
        return teacher._affinity(features["image"], features["text"]).cpu().numpy()

    def score(self, X, y=None):
        """Measure retrieval among pairs, from images to texts and from texts to images.

        Parameters
        ----------
        X : {array-like, CSR matrix, dataframe} of shape (n_samples, n_features)
            Features of pairs, which are the queries and the gallery.
        y : array-like of shape (n_samples,) or (n_samples, n_labels), default=None
            What is relevant: rows of the same id or class, or that share a label; by default only
            the other half of the pair.

        Returns
        -------
        float
            Mean average precision over all ranks, its expectation over the order of ties, mean of
            both directions.
        """
        check_is_fitted(self)
        blocks = check_pairs(self, X, reset=False)
        image, text = (convert_codes(self._encode(b, blocks[b]), "packed") for b in BLOCKS)
        return paired_score(image, text, y)

    def get_feature_names_out(self, input_features=None):
        """Name the columns of the codes of pairs.

        Parameters
        ----------
        input_features : object, default=None
            Not used.

        Returns
        -------
        ndarray of str objects
            ``image__bit0``, ..., ``text__bit0``, ...; ``byte`` instead of ``bit`` for packed codes.
        """
        check_is_fitted(self)
        return np.concatenate([self._code_names(block) for block in BLOCKS])

    def _code_names(self, block):
        packed = self.output == "packed"
        n_columns = -(-self.n_bits_ // 8) if packed else self.n_bits_
        names = [f"{'byte' if packed else 'bit'}{column}" for column in range(n_columns)]
        return np.array(block_names(block, names), dtype=object)

    def _encode(self, block, values):
        return convert_codes(wake(self).encode(block, values, self.alpha_), self.output)

    def _check_pairs(self, X, groups, *, reset):
        blocks = check_pairs(self, X, reset=reset)
        if groups is not None:
            groups = encode_ids(groups, "groups", blocks["image"].shape[0])
        return Pairs(**blocks, groups=groups)

    def _check_parameters(self):
        check_parameters(self)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "image_state_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = []
        return tags
