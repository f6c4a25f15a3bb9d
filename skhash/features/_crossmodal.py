"""Images and texts of one table, each by its own featurizer."""

from typing import Any, ClassVar

import numpy as np
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from .._blocks import BLOCKS, BlockTransformer, block_names
from .._estimators import Documented, fitting
from .._inputs.checks import check_choice, check_flag
from ._bow import BoWTextFeaturizer
from ._clip.featurizer import CLIPFeaturizer
from ._tables import (
    as_float32,
    check_both_blocks,
    library_of,
    listed,
    names_of,
    read_blocks,
    remember_columns,
    stack_vectors,
)


class CrossModalFeaturizer(Documented, BlockTransformer):
    """Turn a table of images and texts into a table of features.

    One featurizer is applied to the column of images, another one to the column of texts. The
    result has float32 columns ``image__*``, then ``text__*``. ``transform`` also accepts tables
    with images only or texts only. A block that consists of features already (columns ``image__*``
    instead of the column ``image``, and likewise for texts) is not changed, so that slow embeddings
    can be computed once, before tuning.

    Parameters
    ----------
    image : transformer, "passthrough" or None, default=None
        Featurizer of the images, for example a `Pipeline`; it is cloned before it is fitted.
        ``None`` means `CLIPFeaturizer()`. ``"passthrough"`` is for a column that contains a vector
        in each row.
    text : transformer, "passthrough" or None, default=None
        Featurizer of the texts, likewise. ``None`` means `BoWTextFeaturizer()`.
    image_column : str, default="image"
        Name of the column of images.
    text_column : str, default="text"
        Name of the column of texts.
    extra_columns : {"raise", "ignore"}, default="raise"
        What to do if a table has other columns, such as dates or authors: raise an error, which
        also detects misspelled column names, or ignore them.
    sparse_output : bool, default=False
        Whether to return a CSR array or matrix instead of a dense array or a dataframe.

    Attributes
    ----------
    image_, text_ : transformer or "passthrough"
        The fitted featurizers.
    n_image_features_ : int
        Number of columns of the image block.
    n_features_in_ : int
        Number of columns of `X` in ``fit``.
    feature_names_in_ : ndarray of shape (n_features_in_,), object
        Their names, if a table was given to ``fit``.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash import make_table
    >>> from skhash.features import CrossModalFeaturizer
    >>> table = make_table(image=np.eye(2, dtype=np.float32), text=["two dogs", "a cat"])
    >>> featurizer = CrossModalFeaturizer().fit(table)
    >>> featurizer.transform(table[["text"]])
       text__cat  text__dogs
    0        0.0         1.0
    1        1.0         0.0
    >>> featurizer.encode_text(["a cat and dogs"])
    array([[1., 1.]], dtype=float32)
    """

    # Accepted as every step of a pipeline accepts it, but never to be routed here.
    __metadata_request__fit: ClassVar = {"groups": UNUSED}

    def __init__(
        self,
        image=None,
        text=None,
        *,
        image_column="image",
        text_column="text",
        extra_columns="raise",
        sparse_output=False,
    ):
        self.image = image
        self.text = text
        self.image_column = image_column
        self.text_column = text_column
        self.extra_columns = extra_columns
        self.sparse_output = sparse_output

    def set_params(self, **params):
        """Set parameters; ``image__*`` and ``text__*`` reach into the featurizers.

        Parameters
        ----------
        **params : dict
            Names and values.

        Returns
        -------
        CrossModalFeaturizer
            The featurizer itself.

        Raises
        ------
        ValueError
            If a nested name such as ``image__batch_size`` refers to a block without a featurizer.
        """
        for name in params:
            block, _, inner = name.partition("__")
            if inner and block in BLOCKS and params.get(block, getattr(self, block)) is None:
                raise ValueError(
                    f"{name} cannot be set while {block}=None: give the featurizer first, for "
                    f"example {block}={_default(block)!r}."
                )
        return super().set_params(**params)

    def fit(self, X, y=None, groups=None):
        """Fit both featurizers.

        Parameters
        ----------
        X : dataframe or ndarray of shape (n_samples, 2), object
            The images and texts. A dataframe (pandas, polars, pyarrow) has the columns
            `image_column` and `text_column`, or columns of features ``image__*`` or ``text__*``
            instead. The first column of an array contains the images.
        y : None
            Ignored.
        groups : None
            Ignored.

        Returns
        -------
        CrossModalFeaturizer
            The fitted featurizer itself.

        Raises
        ------
        ValueError
            If a block is missing or given twice, a column is unknown, or a featurizer does not
            accept a row.
        TypeError
            If `X` is neither a dataframe nor an array.
        """
        with fitting(self) as new:
            new._fit(X, transform=False)
        return self

    def fit_transform(self, X, y=None, groups=None):
        """Fit both featurizers and return the features, reading each item once.

        Parameters
        ----------
        X : dataframe or ndarray of shape (n_samples, 2), object
            As in `fit`.
        y : None
            Ignored.
        groups : None
            Ignored.

        Returns
        -------
        dataframe, ndarray or sparse matrix of shape (n_samples, n_features), float32
            As in `transform`.
        """
        with fitting(self) as new:
            return new._join(new._fit(X, transform=True), X)

    def transform(self, X):
        """Encode whichever blocks are given.

        Parameters
        ----------
        X : dataframe or ndarray of shape (n_samples, 2), object
            As in `fit`; a dataframe may contain only one block.

        Returns
        -------
        dataframe, ndarray or sparse matrix of shape (n_samples, n_features), float32
            If `X` is a dataframe, a dataframe of the same library, else an array. `set_output`
            changes this.

        Raises
        ------
        ValueError
            As in `fit`, and if a block consists of features here and of raw items in ``fit``, or
            vice versa.
        """
        check_is_fitted(self)
        encoded = {}
        for block, (values, names) in self._read(X).items():
            self._check_form(block, names)
            encoded[block] = self._encode(block, values)
        return self._join(encoded, X)

    def encode_image(self, images):
        """Encode images alone.

        Parameters
        ----------
        images : array-like of shape (n_samples,), or of shape (n_samples, n_features)
            The images, or their features if ``fit`` was given features.

        Returns
        -------
        ndarray or sparse matrix of shape (n_samples, n_image_features_), float32
            The features; CSR if `sparse_output`.
        """
        check_is_fitted(self)
        return self._encode("image", images)

    def encode_text(self, texts):
        """Encode texts alone.

        Parameters
        ----------
        texts : array-like of shape (n_samples,), or of shape (n_samples, n_features)
            The texts, or their features if ``fit`` was given features.

        Returns
        -------
        ndarray or sparse matrix of shape (n_samples, n_text_features), float32
            The features; CSR if `sparse_output`.
        """
        check_is_fitted(self)
        return self._encode("text", texts)

    def get_feature_names_out(self, input_features=None):
        """Return the names of the columns of a pair.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        ndarray of shape (n_features,), object
            ``image__*``, then ``text__*``.
        """
        check_is_fitted(self)
        return np.array(self._names["image"] + self._names["text"], dtype=object)

    def _read(self, X):
        raw_columns = {"image": self.image_column, "text": self.text_column}
        return read_blocks(X, raw_columns, ignore_others=self.extra_columns == "ignore")

    def _as_float32(self, features):
        return as_float32(features, sparse_output=self.sparse_output)

    def _fit(self, X, *, transform):
        check_flag(self.sparse_output, "sparse_output")
        check_choice(self.extra_columns, "extra_columns", ("raise", "ignore"))
        blocks = self._read(X)
        check_both_blocks(blocks, X)
        remember_columns(self, X)
        self._is_raw = {block: names is None for block, (_, names) in blocks.items()}
        self._names, encoded = {}, {}
        for block, (values, names) in blocks.items():
            branch, features = self._fit_branch(block, values, names, transform)
            setattr(self, f"{block}_", branch)
            encoded[block] = features
            self._names[block] = names or block_names(block, names_of(branch, features))
        self.n_image_features_ = len(self._names["image"])
        return encoded

    def _fit_branch(self, block, values, names, transform):
        """Return a fitted featurizer and the features, of one row unless all are to be had."""
        branch: Any = getattr(self, block)
        if names is not None or branch == "passthrough":
            return "passthrough", self._run("passthrough", values)
        branch = clone(_default(block) if branch is None else branch)
        with config_context(transform_output="default"):
            if transform and hasattr(branch, "fit_transform"):
                return branch, self._as_float32(branch.fit_transform(values))
            branch.fit(values, None)  # FrozenEstimator asks for y
        return branch, self._run(branch, values if transform else values[:1])

    def _run(self, branch, values):
        if branch == "passthrough":
            return self._as_float32(stack_vectors(values))
        with config_context(transform_output="default"):
            return self._as_float32(branch.transform(values))

    def _encode(self, block, values):
        features = self._run(getattr(self, f"{block}_"), values)
        n_features = len(self._names[block])
        if features.shape[1] != n_features:
            raise ValueError(
                f"the {block} block was fitted with {n_features} features, got "
                f"{features.shape[1]}: give the same features as in fit."
            )
        return features

    def _check_form(self, block, names):
        if self._is_raw[block] != (names is None):
            forms = f"the raw column {getattr(self, f'{block}_column')!r}", f"columns {block}__*"
            fitted, got = forms if self._is_raw[block] else forms[::-1]
            raise ValueError(
                f"the {block} block was fitted as {fitted}, got {got}: give it in the same form."
            )
        if names is not None and names != self._names[block]:
            raise ValueError(
                f"the {block} block was fitted with the columns {listed(self._names[block])}, got "
                f"{listed(names)}: give the same columns in the same order."
            )

    def _join(self, encoded, X):
        names = [name for block in encoded for name in self._names[block]]
        parts = list(encoded.values())
        if self.sparse_output:
            return self._wrap_output(sparse.hstack(parts, format="csr"), names, X)
        return self._wrap_output(np.hstack(parts), names, X, default=library_of(X))


def _default(block):
    return CLIPFeaturizer() if block == "image" else BoWTextFeaturizer()
