"""A featurizer that holds two towers of one space: encoding and saving."""

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ..._blocks import BLOCKS, BlockTransformer, block_names
from .._items import as_images, as_texts
from .._tables import library_of


class TwoTowerFeaturizer(BlockTransformer):
    """Base of a featurizer whose image and text tower are trained together.

    A subclass sets `state_` and `config_` in ``fit``.
    """

    image_column: str
    text_column: str
    state_: dict[str, Any]
    config_: dict[str, Any]

    def transform(self, X):
        """Encode whichever raw columns a table has.

        Parameters
        ----------
        X : dataframe or ndarray of shape (n_samples, 2), object
            Images and texts, or a dataframe with one of the columns alone.

        Returns
        -------
        dataframe or ndarray of shape (n_samples, n_features), float32
            Columns ``image__*``, then ``text__*``, rows of unit length in either block; a
            dataframe of the library of `X` if that is one.
        """
        from .pairs import raw_items

        check_is_fitted(self)
        items = raw_items(X, self.image_column, self.text_column)
        encoded = [self._encode(block, values) for block, values in items.items()]
        names = [name for block in items for name in self._names(block)]
        return self._wrap_output(np.hstack(encoded), names, X, default=library_of(X))

    def encode_image(self, images):
        """Encode images alone.

        Parameters
        ----------
        images : sequence of shape (n_samples,)
            Paths, bytes, PIL images or uint8 arrays, or ``{"bytes": ..., "path": ...}``.

        Returns
        -------
        ndarray of shape (n_samples, embed_dim), float32
            Unit vectors.
        """
        check_is_fitted(self)
        return self._encode("image", as_images(images))

    def encode_text(self, texts):
        """Encode texts alone.

        Parameters
        ----------
        texts : sequence of shape (n_samples,), str
            The texts.

        Returns
        -------
        ndarray of shape (n_samples, embed_dim), float32
            Unit vectors.
        """
        check_is_fitted(self)
        return self._encode("text", as_texts(texts))

    def save_pretrained(self, folder):
        """Save the towers in open_clip's own format.

        ``CLIPFeaturizer("local-dir:<folder>")``, open_clip itself and
        ``ContrastiveFeaturizer("local-dir:<folder>")`` load them.

        Parameters
        ----------
        folder : str or path
            A folder that is new or empty, or holds a saved model, which is replaced in one step:
            whenever the process is killed, the old model is there or the new one.

        Raises
        ------
        ValueError
            If it is a file or the working directory, or the folder holds other files.
        """
        from .._towers.folder import save_towers

        check_is_fitted(self)
        save_towers(folder, self.config_, self.state_)

    def get_feature_names_out(self, input_features=None):
        """Return the names of the columns of a pair.

        Parameters
        ----------
        input_features : object, default=None
            Not used.

        Returns
        -------
        ndarray of shape (n_features,), object
            ``image__0``, ..., ``text__0``, ...
        """
        check_is_fitted(self)
        return np.array([n for b in BLOCKS for n in self._names(b)], dtype=object)

    def _names(self, block):
        return block_names(block, range(self.config_["model_cfg"]["embed_dim"]))

    def _encode(self, block, items):
        from .fit import encode

        return encode(self, block, items)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "state_")
