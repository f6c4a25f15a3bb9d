"""Deep unsupervised contrastive hashing."""

from ..._blocks import BLOCKS
from .._docs import hasher
from .._parameters import count, not_negative, positive, share
from .base import DeepHasher, sharpness
from .lazy import F, networks, torch


@hasher
class DUCHHasher(DeepHasher):
    r"""Deep unsupervised contrastive hashing, DUCH.

    Contrastive learning within a batch, without labels: each code is trained to be similar to the
    code of the other half of its pair, and to that of a second view of the same features, and
    different from the codes of other pairs. A discriminator makes the distributions of image and
    text codes similar. The contrastive part of the loss is

    .. math:: \alpha_1\, \ell(H_I, H_T) + \alpha_2\, [\ell(H_I, H'_I) + \ell(H_T, H'_T)],

    where :math:`\ell` is the normalized temperature-scaled cross-entropy of two sets of codes
    (NT-Xent, in both directions), and :math:`H'` are the codes of the second views.

    Parameters
    ----------
    **Loss**

    inter_weight : float, default=1.0
        Weight of the contrastive loss between the modalities, :math:`\alpha_1`.
    intra_weight : float, default=1.0
        Weight of the contrastive loss between two views of one modality, :math:`\alpha_2`.
    temperature : float, default=1.0
        Temperature of the contrastive losses.
    dropped : float, default=0.2
        Share of the features that are set to 0 in the second view, from 0 to 1.
    adversarial_weight : float, default=0.01
        Weight of the adversarial loss, :math:`\beta`: the discriminator should take image codes
        for text codes.
    quantization_weight : float, default=0.001
        Weight of the distance of real codes from binary ones, :math:`\gamma`.
    balance_weight : float, default=0.01
        Weight of the balance of the bits, :math:`\delta`: each should be +1 as often as -1.

    Notes
    -----
    With the discriminator :math:`D`, and :math:`B` the sign of the mean of the four codes of a
    pair, the loss is

    .. math::
        L = \; & \alpha_1\, \ell(H_I, H_T) + \alpha_2\, [\ell(H_I, H'_I) + \ell(H_T, H'_T)]
        - \beta\, \overline{\log \sigma(D(h_I))} \\
        + & \gamma \sum_H \overline{\lVert h - b \rVert^2}
        + \delta \sum_H \sum_k \left(\overline{h_k}\right)^2,

    where the bar is a mean over rows and :math:`k` is a bit. The discriminator has its own
    optimizer, and a penalty on its gradient.

    The losses are those of the paper, and the weights those of the public code, which sets
    ``hidden_units=4096, batch_size=256, max_iter=100, learning_rate=1e-4``. Hidden layers have
    batch normalization.

    In the paper, the second view is an augmented picture or a paraphrased caption. A hasher only
    has features, so here a share of the features is set to 0, which is their mean. Also this
    library's own: losses are means over rows, not sums; the target of quantization is computed from
    the current batch, not from the last epoch; the discriminator has no batch normalization, which
    would remove the difference that it should detect; image codes are trained to pass for text
    codes, and text codes are the real examples of the discriminator. The public code never uses the
    augmented texts, and balances the sum of the bits of a row instead of each bit; neither is done
    here. Rows of one group are never negatives of each other.

    References
    ----------
    G. Mikriukov, M. Ravanbakhsh, B. Demir: Deep unsupervised contrastive hashing for large-scale
    cross-modal text-image retrieval in remote sensing, ICASSP 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.hashing import DUCHHasher
    >>> rng = np.random.default_rng(0)
    >>> topics = rng.normal(size=(200, 5))
    >>> image, text = topics @ rng.normal(size=(5, 16)), topics @ rng.normal(size=(5, 30))
    >>> X = np.hstack([image, text])
    >>> hasher = DUCHHasher(16, n_image_features=16, max_iter=10, random_state=0).fit(X)
    >>> hasher.encode_text(text).shape
    (200, 16)
    >>> hasher.score(X) > 0.1  # random codes score 0.03
    True
    """

    inter_weight: float = not_negative(1.0)
    intra_weight: float = not_negative(1.0)
    temperature: float = positive(1.0)
    dropped: float = share(0.2)
    adversarial_weight: float = not_negative(0.01)
    quantization_weight: float = not_negative(0.001)
    balance_weight: float = not_negative(0.01)
    alpha: str | float = sharpness(1.0)
    max_iter: int = count(20)

    def _networks(self, widths, generator):
        sizes = self.hidden_units, self.n_bits
        encoders = {b: networks.NormalizedEncoder(d, *sizes, generator) for b, d in widths.items()}
        discriminator = networks.perceptron(self.n_bits, 2 * self.n_bits, 1, generator)
        return {**encoders, "discriminator": discriminator}

    def _optimizers(self, networks):
        return {
            "main": self._optimizer({block: networks[block] for block in BLOCKS}),
            "discriminator": self._optimizer({"discriminator": networks["discriminator"]}),
        }

    def _step(self, run, batch):
        batch.codes = {block: self._encode_views(run, batch, block) for block in BLOCKS}
        self._train_discriminator(run, batch)
        terms = self._loss(run, batch)
        run.step(terms)
        return terms

    def _encode_views(self, run, batch, block):
        """Return the codes of the rows, then those of their second views."""
        features = batch.features[block]
        view = F.drop_features(features, self.dropped, run.generator)
        return run.networks[block].encode(torch.cat([features, view]), batch.alpha)

    def _train_discriminator(self, run, batch):
        real, fake = batch.codes["text"].detach(), batch.codes["image"].detach()
        mix = torch.rand(real.shape, generator=run.generator).to(run.device)
        loss = F.discrimination(run.networks["discriminator"], real, fake, mix)
        run.step({"discriminator": loss}, "discriminator")

    def _loss(self, run, batch):
        (image, image_view), (text, text_view) = (batch.codes[block].chunk(2) for block in BLOCKS)
        same, codes = run.same(batch.rows), (image, image_view, text, text_view)
        inter, *intra = (
            F.nt_xent(a, b, same, self.temperature)
            for a, b in ((image, text), (image, image_view), (text, text_view))
        )
        # The images' codes should pass for codes of texts.
        passed = torch.nn.functional.softplus(
            -run.networks["discriminator"](batch.codes["image"])
        ).mean()
        signs = F.binary(sum(codes))
        return {
            "inter": self.inter_weight * inter,
            "intra": self.intra_weight * sum(intra),
            "adversarial": self.adversarial_weight * passed,
            "quantization": self.quantization_weight * sum(F.quantization(h, signs) for h in codes),
            "balance": self.balance_weight * sum(map(F.bit_balance, codes)),
        }
