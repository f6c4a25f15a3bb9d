"""A complete hasher, which the guide explains."""

from skhash.hashing import AffinityHasher
from skhash.hashing._deep.lazy import F
from skhash.hashing._docs import hasher
from skhash.hashing._parameters import not_negative


@hasher
class BlendHasher(AffinityHasher):
    """Codes that reproduce a blend of both modalities' similarities.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> topics = rng.normal(size=(200, 5))
    >>> image, text = topics @ rng.normal(size=(5, 16)), topics @ rng.normal(size=(5, 30))
    >>> X = np.hstack([image, text])
    >>> blend = BlendHasher(16, n_image_features=16, max_iter=20, random_state=0).fit(X)
    >>> blend.score(X) > 0.1  # random codes score 0.03
    True
    """

    image_weight: float = not_negative(0.5)

    def _affinity(self, image, text):
        weight = self.image_weight
        return weight * F.signed_cosine(image) + (1 - weight) * F.signed_cosine(text)

    def _reconstruct(self, networks, features, codes, s):
        image, text = F.unit_rows(codes["image"]), F.unit_rows(codes["text"])
        return {"cross": F.similarity_reconstruction(image, text, s)}
