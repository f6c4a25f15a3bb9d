"""Base of all hashers: features of pairs in, codes out. It needs no torch."""

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._blocks import BLOCKS, BlockTransformer, block_names
from .._estimators import Documented, fitting
from .._inputs.ids import encode_ids
from .._inputs.seed import draw_seed
from ..codes import FORMATS, check_finite, convert_codes
from ._docs import hasher
from ._inputs import check_block, check_pairs, split_blocks
from ._pairs import Pairs, paired_score
from ._parameters import check_parameters, choice, count, switch


@hasher
class PairHasher(Documented, BlockTransformer):
    """Base of hashers: learns two encoders from pairs.

    A method defines `_learn` and `_real_codes`. Parameters are dataclass fields: a method declares
    only its own, and the constructor is generated. The docstring of a method likewise describes its
    own parameters and attributes; the descriptions of the others are added from its bases.

    Parameters
    ----------
    **Codes**

    n_bits : int, default=64
        Length of a code, :math:`K`, in bits.
    n_image_features : int, default=None
        Number of image features; these columns come first. ``None`` takes it from the column names
        ``image__*`` and ``text__*``. Arrays have no column names, so they need the number.
    output : {"bits", "packed", "signs", "real"}, default="bits"
        Format of the codes: bool bits, uint8 bytes of eight bits each, int8 values +1 and -1, or
        the float32 values whose signs are the bits (:mod:`skhash.codes`).
    center : bool, default=True
        Whether to subtract the mean of each feature. CLIP embeddings are far from centred:
        unrelated images have a cosine of about .5.

    **Computation**

    random_state : int, RandomState or Generator, default=None
        Seed. The same seed gives the same bits on a CPU. NumPy's global generator is not used.

    Attributes
    ----------
    image_state_, text_state_ : dict of str to ndarray
        Weights of the two encoders.
    n_bits_ : int
        Length of a code in bits.
    n_image_features_ : int
        Number of image features.
    n_features_in_ : int
        Number of features of both blocks.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns. Only defined if `X` has column names that are all strings.
    """

    n_bits: int = count(64, kw_only=False)
    n_image_features: int | None = None
    output: str = choice("bits", *FORMATS)
    center: bool = switch(True)
    random_state: Any = None

    # What a method defines.

    def _learn(self, pairs, seed):
        """Set `image_state_` and `text_state_`, and what else the method learns, from pairs."""
        raise NotImplementedError

    def _real_codes(self, block, values):
        """Return the real codes of a block, (n, n_bits): a bit is whether one is at least 0."""
        raise NotImplementedError

    # What every method does.

    def fit(self, X, y=None, *, groups=None):
        """Learn the two encoders from pairs.

        Parameters
        ----------
        X : {array-like, CSR matrix, dataframe} of shape (n_samples, n_features)
            Features of the pairs, the image block first.
        y : object, default=None
            Not used: the codes are learned from pairs alone.
        groups : array-like of shape (n_samples,), default=None
            Ids of groups of rows that belong together, such as the captions of one image. Methods
            that hold out pairs or contrast them keep the rows of a group together; other methods
            only check the ids.

        Returns
        -------
        self : object
            The fitted hasher.

        Raises
        ------
        ValueError
            If a block is missing, a feature is not finite, a parameter is out of range, or there
            are fewer than two rows.
        TypeError
            If a parameter has the wrong type, or `X` is sparse but not CSR.
        """
        check_parameters(self)
        with fitting(self) as new:
            new._forget()
            pairs = new._check_pairs(X, groups, reset=True)
            new.n_bits_ = self.n_bits  # where it is None, the method sets it
            new._learn(pairs, draw_seed(self.random_state))
        return self

    def transform(self, X):
        """Encode images, texts or both, whichever the table has.

        Parameters
        ----------
        X : {array-like, CSR matrix, dataframe} of shape (n_samples, n_features)
            Features of pairs, or a dataframe with the columns of one block alone.

        Returns
        -------
        ndarray of shape (n_samples, n_columns)
            Image codes, then text codes, or the codes of the only block, in the format of `output`
            (:mod:`skhash.codes`); a dataframe if `set_output` was called to request one.
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

    def score(self, X, y=None):
        """Measure retrieval among pairs, from images to texts and from texts to images.

        Use pairs that were not used in `fit`: a hasher may have memorised its training pairs.

        Parameters
        ----------
        X : {array-like, CSR matrix, dataframe} of shape (n_samples, n_features)
            Features of pairs, which are both the queries and the database.
        y : array-like of shape (n_samples,) or (n_samples, n_labels), default=None
            Labels: rows with the same id or class, or with a label in common, are relevant. By
            default, only the other half of a pair is relevant.

        Returns
        -------
        float
            Mean average precision over all ranks, in expectation over the order of ties, averaged
            over both directions.
        """
        check_is_fitted(self)
        blocks = check_pairs(self, X, reset=False)
        image, text = (self._real_codes(b, blocks[b]) >= 0 for b in BLOCKS)
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
        real = check_finite(self._real_codes(block, values))
        if self.output == "real":
            return real.astype(FORMATS["real"], copy=False)
        return convert_codes(real >= 0, self.output)  # zeros are real codes here, not bits

    def _forget(self):
        """Drop all that was learned before."""
        for name in [name for name in vars(self) if name.endswith("_") and name[0] != "_"]:
            delattr(self, name)

    def _check_pairs(self, X, groups, *, reset):
        blocks = check_pairs(self, X, reset=reset)
        if groups is not None:
            groups = encode_ids(groups, "groups", blocks["image"].shape[0])
        return Pairs(**blocks, groups=groups)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "image_state_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = []
        return tags
