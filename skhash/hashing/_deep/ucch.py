"""Unsupervised contrastive cross-modal hashing."""

from .._docs import hasher
from .._parameters import count, not_negative, positive, share
from .base import DeepHasher, sharpness
from .lazy import F, torch


@hasher
class UCCHHasher(DeepHasher):
    r"""Unsupervised contrastive cross-modal hashing, UCCH.

    Trains with two losses, without labels. A contrastive loss compares codes with a memory bank
    that has a binary code for each training pair. A ranking loss ranks the other half of a pair
    before the rest of the batch. With the unit rows :math:`b` of the real codes, the memory bank
    :math:`u` with rows of unit length, and pairs :math:`j` drawn at random, the contrastive loss of
    either modality is

    .. math:: L_c = -\overline{\log \frac{e^{\langle b_i, u_i \rangle / \tau}}
        {e^{\langle b_i, u_i \rangle / \tau} + \sum_j e^{\langle b_i, u_j \rangle / \tau}}}.

    Parameters
    ----------
    **Loss**

    contrast_weight : float, default=0.7
        Weight of the contrastive loss, :math:`a`, from 0 to 1. The weight of the ranking loss is
        :math:`1 - a`.
    n_negatives : int, default=4096
        Number of other pairs to compare a batch with; all of them if there are fewer.
    temperature : float, default=0.9
        Temperature of the contrastive loss, :math:`\tau`, by which cosines are divided.
    memory_momentum : float, default=0.4
        Share of the old value that an update of the memory bank keeps, :math:`\rho`, from 0 to 1.
    margin : float, default=0.2
        In the ranking loss, similarities that are smaller than that of the pair by more than this
        count less.
    shift : float, default=0.1
        Number that is subtracted from such similarities.

    **Training**

    max_norm : float, default=1.0
        Largest Euclidean norm of the gradient; a larger one is scaled down to it.

    Notes
    -----
    Let :math:`s_{ij} = \langle b^I_i, b^T_j \rangle`, minus `shift` if
    :math:`s_{ij} < s_{ii} - \text{margin}`. The ranking loss in either direction, and the whole
    loss, are

    .. math:: L_r = \overline{\log \sum_j e^{s_{ij}} - s_{ii}}, \qquad
        L = a\, L_c + (1 - a)\, L_r.

    The memory bank moves towards the mean of the two codes of a pair, :math:`u \leftarrow \rho u +
    (1 - \rho) \bar b`. In the first epoch it is filled, and the pairs of a batch are compared with
    each other.

    Losses and memory bank follow the public code. For features, it sets ``hidden_units=8192``,
    three layers for images, ``batch_size=256, learning_rate=1e-4, weight_decay=1e-6``, and chooses
    the epoch by labels. Its temperature is the one here times the square root of the number of
    bits, since its memory bank is not scaled to unit length.

    This library's own: the negatives are drawn without replacement, once for all rows of a batch,
    not for each row; a pair and its group are never their own negatives; the constant margin that
    is added to the ranking loss is left out; and the defaults of training. When training continues,
    with `warm_start` or `partial_fit`, the memory bank is first filled with the codes of the given
    pairs.

    References
    ----------
    P. Hu, H. Zhu, J. Lin, D. Peng, Y.-P. Zhao, X. Peng: Unsupervised contrastive cross-modal
    hashing, IEEE Transactions on Pattern Analysis and Machine Intelligence 45 (3), 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.hashing import UCCHHasher
    >>> rng = np.random.default_rng(0)
    >>> topics = rng.normal(size=(200, 5))
    >>> image, text = topics @ rng.normal(size=(5, 16)), topics @ rng.normal(size=(5, 30))
    >>> X = np.hstack([image, text])
    >>> hasher = UCCHHasher(16, n_image_features=16, max_iter=10, random_state=0).fit(X)
    >>> hasher.encode_text(text).shape
    (200, 16)
    >>> hasher.score(X) > 0.1  # random codes score 0.03
    True
    """

    contrast_weight: float = share(0.7)
    n_negatives: int = count(4096)
    temperature: float = positive(0.9)
    memory_momentum: float = share(0.4)
    margin: float = not_negative(0.2)
    shift: float = not_negative(0.1)
    max_norm: float = positive(1.0)
    alpha: str | float = sharpness(1.0)
    max_iter: int = count(20)

    def _begin(self, run, phase):
        if run.fresh:
            bank = torch.zeros(len(run.pairs), self.n_bits, device=run.device)
        else:
            bank = F.unit_rows(sum(run.encode_all().values()))
        run.memory["bank"] = bank
        # Whether a batch has had a row, or the bank was filled at once.
        run.memory["known"] = torch.full((len(bank),), not run.fresh)

    def _step(self, run, batch):
        batch.codes = {block: F.unit_rows(codes) for block, codes in run.encode(batch).items()}
        terms = self._loss(run, batch)
        run.step(terms, clip=self.max_norm)
        self._remember(run, batch)
        return terms

    def _loss(self, run, batch):
        own, others, same = self._keys(run, batch)
        image, text = batch.codes["image"], batch.codes["text"]
        contrast = sum(
            F.memory_contrast(codes, own, others, same, self.temperature) for codes in (image, text)
        )
        ranking = F.ranking(image, text, run.same(batch.rows), self.margin, self.shift)
        return {
            "contrast": self.contrast_weight * contrast,
            "ranking": (1 - self.contrast_weight) * ranking,
        }

    def _keys(self, run, batch):
        """Return the binary key of each row, keys of others, and which are of the same row."""
        if batch.epoch == 0:  # the bank is still empty
            own = F.binary(batch.codes["image"] + batch.codes["text"])
            return own, own, run.same(batch.rows)
        bank, known, rows = run.memory["bank"], run.memory["known"], batch.rows
        own = F.binary(bank[rows])
        if not known[rows].all():
            now = F.binary(batch.codes["image"] + batch.codes["text"])
            own = torch.where(known[rows, None].to(own.device), own, now)
        drawn = torch.randperm(len(bank), generator=run.generator)
        drawn = drawn[known[drawn]][: self.n_negatives].numpy()
        return own, F.binary(bank[drawn]), run.same(rows, drawn)

    def _remember(self, run, batch):
        bank, known, rows = run.memory["bank"], run.memory["known"], batch.rows
        codes = F.unit_rows(sum(batch.codes.values()).detach())
        momentum = self.memory_momentum
        mixed = momentum * bank[rows] + (1 - momentum) * codes
        seen = known[rows, None].to(bank.device)
        bank[rows] = F.unit_rows(torch.where(seen, mixed, codes))
        known[rows] = True
