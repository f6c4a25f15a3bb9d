"""Texts as bags of words."""

import sys
from collections.abc import Mapping
from functools import cache
from numbers import Integral
from typing import Any
from unicodedata import category, normalize

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.utils.validation import check_is_fitted

from .._blocks import output_container
from .._estimators import Documented, fitting
from .._inputs.checks import check_choice, check_flag, check_integer, check_parameter, check_real
from .._inputs.messages import UNKNOWN_WORDS, warn
from ._items import as_texts

_WEIGHTINGS = ("binary", "count", "tfidf")
_ANALYZERS = ("word", "char", "char_wb")
_JOINERS = "\u200c\u200d"  # invisible, within words of Persian and of scripts of India


class BoWTextFeaturizer(Documented, TransformerMixin, BaseEstimator):
    r"""Bag of words of the most frequent terms of the training texts.

    If term :math:`t` occurs :math:`c_{it}` times in text :math:`i`, the feature is :math:`[c_{it} >
    0]` (``"binary"``), :math:`c_{it}` (``"count"``), or, for ``"tfidf"``,

    .. math:: c_{it} \left(1 + \ln \frac{1 + n}{1 + n_t}\right)

    divided by the Euclidean norm of its row, where :math:`n_t` of the :math:`n` training texts
    contain the term. These are the definitions of scikit-learn, whose vectorizers are used. Texts
    are first normalized to Unicode normalization form C (NFC), so that the encoding of accented
    letters does not matter.

    Parameters
    ----------
    max_features : int or None, default=2000
        Number of terms to keep, the most frequent ones. ``None`` keeps all terms.
    weighting : {"binary", "count", "tfidf"}, default="binary"
        Value of a feature: whether the term occurs, how often, or its tf-idf weight.
    stop_words : "english", list of str or None, default="english"
        Words to leave out. Used with ``analyzer="word"`` only.
    min_df : int or float, default=1
        Leave out terms that occur in fewer texts than this number (int) or share (float) of texts.
    max_df : int or float, default=1.0
        Leave out terms that occur in more texts than this number (int) or share (float) of texts.
    ngram_range : tuple of (int, int), default=(1, 1)
        Smallest and largest number of words in a term.
    lowercase : bool, default=True
        Whether to convert the texts to lower case first.
    token_pattern : str or None, default=None
        Regular expression of a word. ``None`` means two or more letters, digits or underscores, and
        the combining marks that follow them, such as the vowel signs of Hindi.
    analyzer : {"word", "char", "char_wb"} or callable, default="word"
        What terms are made of, as in :class:`~sklearn.feature_extraction.text.CountVectorizer`.
        ``"char"`` with ``ngram_range=(2, 2)`` uses pairs of characters, for languages without
        spaces between words.
    tokenizer : callable or None, default=None
        Function that splits a text into words, instead of `token_pattern`.
    preprocessor : callable or None, default=None
        Function that is applied to a text before it is split, instead of `lowercase` and
        `strip_accents`.
    strip_accents : {"ascii", "unicode"}, callable or None, default=None
        How to remove accents. ``"unicode"`` removes all combining marks, including those of Hindi.
    vocabulary : mapping, iterable of str or None, default=None
        Terms to use; ``None`` learns them from the texts.
    sparse_output : bool, default=True
        Whether ``transform`` returns a sparse matrix. Set it to False for dataframe output.

    Attributes
    ----------
    vocabulary_ : dict of str to int
        Column of each term.
    vectorizer_ : CountVectorizer or TfidfVectorizer
        The fitted vectorizer.

    See Also
    --------
    CrossModalFeaturizer : Images and texts of one table.

    Examples
    --------
    >>> from skhash.features import BoWTextFeaturizer
    >>> featurizer = BoWTextFeaturizer(sparse_output=False)
    >>> featurizer.fit_transform(["two dogs on a beach", "a dog, a cat"])
    array([[1., 0., 0., 1.],
           [0., 1., 1., 0.]], dtype=float32)
    >>> featurizer.get_feature_names_out()
    array(['beach', 'cat', 'dog', 'dogs'], dtype=object)
    """

    def __init__(
        self,
        max_features=2000,
        *,
        weighting="binary",
        stop_words="english",
        min_df=1,
        max_df=1.0,
        ngram_range=(1, 1),
        lowercase=True,
        token_pattern=None,
        analyzer="word",
        tokenizer=None,
        preprocessor=None,
        strip_accents=None,
        vocabulary=None,
        sparse_output=True,
    ):
        self.max_features = max_features
        self.weighting = weighting
        self.stop_words = stop_words
        self.min_df = min_df
        self.max_df = max_df
        self.ngram_range = ngram_range
        self.lowercase = lowercase
        self.token_pattern = token_pattern
        self.analyzer = analyzer
        self.tokenizer = tokenizer
        self.preprocessor = preprocessor
        self.strip_accents = strip_accents
        self.vocabulary = vocabulary
        self.sparse_output = sparse_output

    def fit(self, X, y=None):
        """Learn the vocabulary.

        Parameters
        ----------
        X : array-like of shape (n_samples,), str
            The texts. A dataframe or an array with one column is also accepted. ``""`` is a text
            without words.
        y : None
            Ignored.

        Returns
        -------
        BoWTextFeaturizer
            The fitted featurizer itself.

        Raises
        ------
        ValueError
            If there is no text, a row is missing, no term remains, or a parameter is wrong.
        TypeError
            If `X` is not a sequence, or a row is not a str.

        Warns
        -----
        UserWarning
            If texts contain none of the terms. ``transform`` gives the same warning.
        """
        with fitting(self) as new:
            _warn_of_unknown(new._fit(X))
        return self

    def fit_transform(self, X, y=None):
        """Learn the vocabulary and return the bags of words, reading the texts once.

        Parameters
        ----------
        X : array-like of shape (n_samples,), str
            The texts.
        y : None
            Ignored.

        Returns
        -------
        sparse matrix or ndarray of shape (n_samples, n_terms), float32
            The features; CSR if `sparse_output`.
        """
        with fitting(self) as new:
            return new._finish(new._fit(X))

    def transform(self, X):
        """Return the bags of words.

        Parameters
        ----------
        X : array-like of shape (n_samples,), str
            The texts.

        Returns
        -------
        sparse matrix or ndarray of shape (n_samples, n_terms), float32
            The features; CSR if `sparse_output`. A text without known words is a row of zeros.
        """
        check_is_fitted(self)
        return self._finish(self.vectorizer_.transform(_normalized(as_texts(X))))

    def get_feature_names_out(self, input_features=None):
        """Return the terms.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        ndarray of shape (n_terms,), object
            The terms, in the order of the columns.
        """
        check_is_fitted(self)
        return self.vectorizer_.get_feature_names_out()

    def _fit(self, X):
        check_choice(self.weighting, "weighting", _WEIGHTINGS)
        check_flag(self.sparse_output, "sparse_output")
        check_parameter(self, "max_features", check_integer, optional=True)
        for name in ("min_df", "max_df"):
            if isinstance(getattr(self, name), Integral):
                check_parameter(self, name, check_integer)
            else:
                check_parameter(self, name, check_real, "[0, 1]")
        if not callable(self.analyzer):
            check_choice(self.analyzer, "analyzer", _ANALYZERS)
        words = self.analyzer == "word"
        texts = _normalized(as_texts(X))
        vectorizer: Any = TfidfVectorizer if self.weighting == "tfidf" else CountVectorizer
        self.vectorizer_ = vectorizer(
            max_features=self.max_features,
            binary=self.weighting == "binary",
            stop_words=self._stop_words() if words else None,
            min_df=self.min_df,
            max_df=self.max_df,
            ngram_range=self.ngram_range,
            lowercase=self.lowercase,
            token_pattern=self._token_pattern() if words else None,
            analyzer=self.analyzer,
            tokenizer=self.tokenizer,
            preprocessor=self.preprocessor,
            strip_accents=self.strip_accents,
            vocabulary=self._vocabulary(),
            dtype=np.float32,
        )
        try:
            features = self.vectorizer_.fit_transform(texts)
        except ValueError as error:
            if "empty vocabulary" in str(error) or "no terms remain" in str(error):
                raise ValueError(
                    f"no term remains of {len(texts)} texts: give texts with words, or loosen "
                    f"stop_words={self.stop_words!r}, min_df={self.min_df!r}, "
                    f"max_df={self.max_df!r} or token_pattern={self.token_pattern!r}."
                ) from error
            raise
        self.vocabulary_ = self.vectorizer_.vocabulary_
        return features

    def _token_pattern(self):
        if self.token_pattern is None and self.tokenizer is None:
            return _words()
        return self.token_pattern

    def _stop_words(self):
        """Return the stop words in the form that words of texts have."""
        words = self.stop_words
        return words if words is None or isinstance(words, str) else _normalized(words)

    def _vocabulary(self):
        """Return the terms in the form that terms of texts have."""
        terms = self.vocabulary
        if isinstance(terms, Mapping):
            return dict(zip(_normalized(terms), terms.values(), strict=True))
        return terms if terms is None or isinstance(terms, str) else _normalized(terms)

    def _finish(self, features):
        _warn_of_unknown(features)
        if not self.sparse_output:
            return features.toarray()
        container = output_container(self)
        if container != "default":
            raise ValueError(
                f"a sparse result cannot be a {container} dataframe: set sparse_output=False."
            )
        return features

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.input_tags.sparse = False
        return tags


@cache
def _words():
    """Return the regular expression of a word: ``re`` has no class of combining marks."""
    marks = [code for code in range(sys.maxunicode + 1) if category(chr(code))[0] == "M"]
    starts = [code for code, before in zip(marks, [-1, *marks], strict=False) if code != before + 1]
    ends = [code for code, after in zip(marks, [*marks[1:], -1], strict=True) if code != after - 1]
    ranges = (f"{chr(start)}-{chr(end)}" for start, end in zip(starts, ends, strict=True))
    return f"\\w[\\w{_JOINERS}{''.join(ranges)}]+"


def _normalized(texts):
    return [normalize("NFC", text) if isinstance(text, str) else text for text in texts]


def _warn_of_unknown(features):
    n_unknown = int((np.diff(features.indptr) == 0).sum())
    if n_unknown:
        warn(
            f"{n_unknown} of {features.shape[0]} texts hold none of the {features.shape[1]} known "
            "terms and become rows of zeros, whose codes and neighbours are meaningless: give "
            "texts with other words, or learn more terms in fit.",
            about=UNKNOWN_WORDS,
        )
