"""Bases of the hashers that train networks."""

import copy
import math
from typing import Any

from ..._estimators import fitting
from ..._inputs.checks import check_real, check_verbose
from ..._inputs.messages import shorten, warn
from ..._inputs.seed import draw_seed
from ..._ranking.relevance import check_labels
from ..._torch.device import check_device, is_cpu
from .._base import PairHasher
from .._docs import hasher
from .._parameters import (
    check_parameters,
    choice,
    count,
    jobs,
    not_negative,
    parameter,
    positive,
    switch,
)
from .encoding import encode
from .lazy import F, networks, torch, training


def _check_alpha(value, name):
    if not isinstance(value, str):
        return check_real(value, name, "(0, inf)")
    if value != "sqrt":
        raise ValueError(f"{name} must be 'sqrt' or a positive number, got {shorten(value)}.")
    return value


def sharpness(default):
    """Declare the sharpness of the tanh, a number or ``"sqrt"``."""
    return parameter(default, _check_alpha)


@hasher
class DeepHasher(PairHasher):
    r"""Base of hashers that train a network a modality.

    A method defines `_loss`, and overrides `_networks`, `_optimizers`, `_phases`, `_begin` or
    `_step` where it departs from one network a modality, one optimizer, one phase and one step a
    batch.

    Parameters
    ----------
    output : {"bits", "packed", "signs", "real"}, default="bits"
        Format of the codes: bool bits, uint8 bytes of eight bits each, int8 values +1 and -1, or
        the float32 real codes, which are outputs of the tanh (:mod:`skhash.codes`).

    **Networks**

    hidden_units : int, default=1024
        Width of the hidden layer of each encoder.
    init : {"random", "cca"}, default="random"
        Initialization of the encoders. ``"cca"`` adds a linear path to each encoder,
        :math:`\tanh(\alpha\, (V z + \mathrm{MLP}(z)))`. The linear path starts as regularised
        canonical correlation analysis with iterative quantization of the training pairs
        (:class:`CCAHasher`) and the perceptron starts at 0, so that the first codes are those of
        CCA + ITQ.
    init_ridge : float, default=1.0
        For ``init="cca"``: ridge penalty of the canonical correlation analysis, in units of the
        mean variance of a feature.
    linear_rate : float, default=0.3
        For ``init="cca"``: learning rate of the linear paths, as a multiple of the learning rate of
        their network. 0 keeps the linear paths fixed.
    alpha : "sqrt" or float, default="sqrt"
        Sharpness of the tanh, :math:`\alpha`. ``"sqrt"`` is the square root of the number of the
        epoch, so that real codes come closer to -1 and +1 during training. A number is used in
        every epoch.

    **Training**

    max_iter : int, default=60
        Number of epochs.
    batch_size : int, default=128
        Number of rows in a batch.
    learning_rate : float, default=1e-3
        Learning rate.
    text_learning_rate : float, default=None
        Learning rate of the text network; ``None`` means `learning_rate`.
    optimizer : {"adam", "sgd"}, default="adam"
        AdamW, or stochastic gradient descent with `momentum`.
    momentum : float, default=0.9
        Momentum of ``"sgd"``.
    weight_decay : float, default=5e-4
        Weight decay: decoupled (AdamW) with ``"adam"``, an L2 penalty with ``"sgd"``.

    **Early stopping and monitoring**

    early_stopping : bool, default=False
        Whether to hold out a part of the pairs, to stop when the retrieval of the other half of
        held-out pairs no longer improves, and to keep the best weights. Together with `warm_start`,
        use an integer `random_state`: otherwise the next `fit` holds out other pairs, and most of
        these have already been used for training.
    validation_fraction : float, default=0.1
        Share of the pairs to hold out for early stopping.
    n_iter_no_change : int, default=5
        Number of epochs without improvement after which training stops.
    tol : float, default=1e-4
        Smallest increase of the validation score that counts as an improvement.
    watch_fraction : float, default=0.05
        Share of the pairs, at most about 50 pairs, held out until three quarters of the first
        training are done, to detect memorising. `code_statistics_` compares their codes with those
        of training pairs. In the last quarter they are trained on, too. No pair is left out if this
        is 0 or amounts to fewer than 16 pairs, if groups cannot be divided accordingly, or if there
        are validation pairs, which are used instead.

    **Computation**

    random_state : int, RandomState or Generator, default=None
        Seed of the weights and of the order of rows. On a CPU, the same seed and the same `n_jobs`
        give the same weights. NumPy's global generator is not used.
    warm_start : bool, default=False
        Whether `fit` starts from the weights of the previous fit.
    device : str, default="auto"
        Where networks are trained and applied: ``"cpu"``, ``"cuda"``, ...; ``"auto"`` is a GPU if
        torch finds one. On a CPU, a fitted hasher encodes with NumPy, without torch; in a process
        that only encodes, ``"auto"`` does not load torch. A model trained on a GPU can be loaded on
        a CPU.
    n_jobs : int, default=None
        Number of CPU threads that torch uses in training. ``None`` means 1, which is the fastest
        for batches of a few hundred rows.
    verbose : int, default=0
        1 prints about ten lines in all, 2 one line for each epoch.

    Attributes
    ----------
    image_state_, text_state_ : dict of str to ndarray
        Weights of the two encoders, with the mean and the scale of the features.
    training_state_ : dict of str to dict
        Weights of networks that are used in training only.
    loss_curve_ : dict of str to list of float
        Value of each weighted loss term, and of their ``total``, in each epoch.
    validation_scores_ : list of float
        Validation score of each epoch: mean average precision of retrieving the other half of a
        validation pair, averaged over both directions. Empty without validation pairs.
    code_statistics_ : dict of str to dict
        Statistics of the codes. ``image`` and ``text``, of up to 2,048 training rows, contain
        ``unique_share``, the number of distinct codes divided by the largest possible one, and
        ``mean_abs``, the mean absolute value of the real codes. ``pairs`` contains Hamming
        distances as shares of the bits: ``distance``, between the two codes of a training pair; and
        if at least 16 pairs are held out, ``held_out_distance``, between the two codes of a
        held-out pair, and ``stranger_distance``, the mean over all image codes and all text codes
        of held-out pairs.
    alpha_ : float
        Sharpness of the tanh in the last epoch, or in the best one with `early_stopping`.
    n_iter_ : int
        Number of epochs trained.
    """

    init: str = choice("random", "random", "cca")
    init_ridge: float = not_negative(1.0)
    linear_rate: float = not_negative(0.3)
    hidden_units: int = count(1024)
    alpha: str | float = sharpness("sqrt")
    max_iter: int = count(60)
    batch_size: int = count(128)
    optimizer: str = choice("adam", "adam", "sgd")
    learning_rate: float = positive(1e-3)
    text_learning_rate: float | None = positive(None, none=True)
    momentum: float = not_negative(0.9)
    weight_decay: float = not_negative(5e-4)
    early_stopping: bool = switch(False)
    validation_fraction: float = positive(0.1, below="1")
    n_iter_no_change: int = count(5)
    tol: float = not_negative(1e-4)
    watch_fraction: float = parameter(0.05, check_real, "[0, 1)")
    warm_start: bool = switch(False)
    device: str = parameter("auto", check_device)
    n_jobs: int | None = jobs()
    verbose: int = parameter(0, check_verbose)

    _in_numpy = True  # whether `encode` knows the encoders; training says so

    # What a method defines.

    def _networks(self, widths, generator):
        """Return the networks by name, given the number of features of each block.

        ``"image"`` and ``"text"`` are encoders; others help in training and are kept for
        `partial_fit`.
        """
        sizes = self.hidden_units, self.n_bits, generator
        return {block: networks.Encoder(width, *sizes) for block, width in widths.items()}

    def _optimizers(self, networks):
        """Return the optimizers by name; ``"main"`` takes the steps of the default `_step`."""
        return {"main": self._optimizer(networks)}

    def _phases(self):
        """Return the number of epochs of each phase by name, in order."""
        return {"train": self.max_iter}

    def _check_labels(self, y, n_pairs, *, classes=None, partial=False):
        """Return the labels to learn from, as `Pairs` holds them; by default none."""

    def _begin(self, run, phase):
        """Prepare a phase: a graph, a memory, or what a target needs from all pairs."""

    def _step(self, run, batch):
        """Train on a batch and return the loss terms."""
        batch.codes = run.encode(batch)
        terms = self._loss(run, batch)
        run.step(terms)
        return terms

    def _loss(self, run, batch):
        """Return the weighted loss terms of a batch, a dict of scalar tensors."""
        raise NotImplementedError

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
            Rows of one group, such as the captions of one image, are treated as the same row: they
            have the affinity of a row with itself, and are never negatives of each other.
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
            If the loss stops being finite before the encoders are trained for one whole epoch.

        Warns
        -----
        ConvergenceWarning
            If the loss stops being finite later, or Ctrl-C is pressed: the hasher has the weights
            of the last whole epoch, or of the best one with `early_stopping`. If nearly all codes
            are the same, or the codes of held-out pairs differ like those of unrelated rows while
            those of training pairs agree.
        """
        return self._train(X, y, groups, X_val)

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
        return self._train(X, y, groups, go_on=True)

    def _train(self, X, y, groups, X_val=None, y_val=None, *, classes=None, go_on=False):
        check_parameters(self)
        fresh = not (self.__sklearn_is_fitted__() and (go_on or self.warm_start))
        phases = dict.fromkeys(self._phases(), 1) if go_on else self._phases()
        with fitting(self) as new:
            if fresh:
                new._forget()
            pairs, validation = new._check_pairs(X, groups, reset=fresh), None
            pairs.labels = new._check_labels(y, len(pairs), classes=classes, partial=go_on)
            if len(pairs) < self.batch_size and not go_on:
                warn(
                    f"batch_size={self.batch_size} is more than the {len(pairs)} rows: each epoch "
                    "is one batch of all rows."
                )
            seed = draw_seed(self.random_state)
            if y_val is not None and X_val is None:
                raise ValueError("y_val holds the labels of X_val, which is missing: give both.")
            if X_val is not None:
                validation = new._check_pairs(X_val, None, reset=False)
                if y_val is not None:
                    validation.labels = check_labels(y_val, len(validation), "y_val", "pairs")
            elif self.early_stopping and not go_on:
                pairs, validation = training.hold_out(pairs, self.validation_fraction, seed)
            plan: Any = {"phases": phases, "seed": seed, "go_on": go_on}
            live = training.train(new, self, pairs, validation, **plan)
            training.keep(self, new.image_state_, live)
        return self

    def _optimizer(self, networks, **settings):
        """Make the optimizer that the parameters name, for some networks."""
        settings = {"lr": self.learning_rate, "weight_decay": self.weight_decay, **settings}
        groups: Any = []
        for name, network in networks.items():
            rate = settings["lr"]
            if name == "text" and self.text_learning_rate is not None:
                rate = self.text_learning_rate
            weights = dict(network.named_parameters())
            path = [weights.pop(n) for n in list(weights) if n.startswith("linear_path.")]
            groups.append({"params": list(weights.values()), "lr": rate})
            groups.append({"params": path, "lr": rate * self.linear_rate})
        groups = [group for group in groups if group["params"]]
        # Fused: one pass over the weights a step.
        if self.optimizer == "sgd":
            return torch.optim.SGD(groups, momentum=self.momentum, fused=True, **settings)
        return torch.optim.AdamW(groups, fused=True, **settings)

    def _real_codes(self, block, values):
        if not (self._in_numpy and is_cpu(self.device)):
            return training.encode(self, block, values)
        state = self.image_state_ if block == "image" else self.text_state_
        return encode(state, values, self.alpha_)


@hasher
class AffinityHasher(DeepHasher):
    """Base of the hashers that make codes reproduce an affinity of pairs.

    A method defines `_affinity` and `_reconstruct`, and overrides `_target` where the affinity of a
    batch needs more than its features. The guide has a page on adding a method.

    Examples
    --------
    >>> import numpy as np
    >>> from torch.nn.functional import normalize
    >>> from skhash.hashing import AffinityHasher
    >>> class ImageHasher(AffinityHasher):
    ...     def _affinity(self, image, text):
    ...         image = normalize(image)
    ...         return image @ image.T
    ...     def _reconstruct(self, networks, features, codes, s):
    ...         image, text = normalize(codes["image"]), normalize(codes["text"])
    ...         return {"cross": ((image @ text.T - s) ** 2).mean()}
    >>> X = np.random.default_rng(0).normal(size=(200, 20))
    >>> hasher = ImageHasher(16, n_image_features=8, max_iter=2, random_state=0).fit(X)
    >>> list(hasher.loss_curve_)
    ['cross', 'total']
    """

    def _affinity(self, image, text):
        """Return the target affinity of a batch, (m, m), from standardized features, (m, d)."""
        raise NotImplementedError

    def _target(self, run, batch):
        """Return the target affinity of a batch, (m, m)."""
        return self._affinity(**batch.features)

    def _reconstruct(self, networks, features, codes, s):
        """Return the weighted loss terms of a batch, a dict of scalar tensors."""
        raise NotImplementedError

    def _loss(self, run, batch):
        s = self._joined_target(run, batch)
        return self._reconstruct(run.networks, batch.features, batch.codes, s)

    def _joined_target(self, run, batch):
        """Return the target, in which rows of one group have the affinity of a row with itself."""
        s = self._target(run, batch)
        if run.pairs.groups is None:
            return s
        return F.join_groups(s, torch.from_numpy(run.pairs.groups[batch.rows]).to(s.device))

    def affinity(self, X):
        """Compute the target affinity of pairs, which the codes learn to reproduce.

        It can be computed before fit, to inspect the target before any training. Before fit,
        features are standardized by their own mean and spread; after fit, by those of the training
        pairs.

        Parameters
        ----------
        X : {array-like, CSR matrix, dataframe} of shape (n_samples, n_features)
            Features of pairs.

        Returns
        -------
        ndarray of shape (n_samples, n_samples), float32
            The affinity, with all rows as one batch.
        """
        check_parameters(self)
        fitted = self.__sklearn_is_fitted__()
        new: Any = copy.copy(self)
        if not fitted:
            new._forget()
        pairs = new._check_pairs(X, None, reset=not fitted)
        live = training.wake(self) if fitted else training.start(new, pairs, seed=0)
        run = training.Run(new, live, pairs, seed=0, fresh=not fitted)
        new._begin(run, next(iter(new._phases())))
        with torch.no_grad():
            return new._target(run, run.whole()).cpu().numpy()
