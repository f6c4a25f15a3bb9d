"""Re-ranking in an index: the vectors that it holds, and the queries that use them."""

import numpy as np

from .._blocks import named_columns, table_columns
from .._ranking.reranking import Asymmetric, Rescored, check_rerank, read_vectors
from ._base import Index

# The block of the index that answers the queries of a block.
ANSWERS = {"image": "text", "text": "image", "codes": "codes"}


class RerankMixin(Index):
    """Re-ranking of what an index finds."""

    def _read_vectors(self, vectors, X, n_samples, *, reset):
        """Check the vectors of items `X` that are added; those of an index must be of one width."""
        held = None if reset else self.vectors_
        if not reset and (held is None) != (vectors is None):
            raise ValueError(
                "either all items of an index have vectors or none: give vectors in every call or "
                "in none."
            )
        if vectors is None:
            if self.rerank == "vectors":
                raise ValueError(
                    "rerank='vectors' needs the vectors of the items: give fit(codes, "
                    "vectors=features), features or real codes in one space with the queries'."
                )
            return None
        check_modality(vectors, X, paired=self.paired_)
        width = None if held is None else held.shape[1]
        vectors = read_vectors(_in_order(vectors), n_samples, width)
        if self.paired_ and vectors.shape[1] % 2:
            raise ValueError(
                f"vectors of a paired index hold an image and a text vector a row, of one width, "
                f"got {vectors.shape[1]} columns: give both, image vectors first."
            )
        if held is None or vectors.dtype == held.dtype:
            return vectors
        with np.errstate(over="ignore"):  # infinity is refused
            vectors = vectors.astype(held.dtype)
        if not np.isfinite(vectors).all():
            raise ValueError(
                f"vectors must be finite and fit {held.dtype}, the type of those of the index: "
                "scale them, or fit again with float32."
            )
        return vectors

    def _check_has_vectors(self):
        if self.vectors_ is None:
            raise ValueError(
                "rerank='vectors' needs the vectors of the items, and the index has none: fit it "
                "with vectors=features."
            )

    def _vectors_of(self, block):
        """Return the vectors of a block, as a view."""
        if not self.paired_:
            return self.vectors_
        half = self.vectors_.shape[1] // 2
        return self.vectors_[:, half:] if block == "text" else self.vectors_[:, :half]

    def _reranked(self, codes, words, block, vectors):
        """Return queries as `rerank` wants them: words, or what takes their place.

        Parameters
        ----------
        codes : ndarray of shape (n_queries, n_columns)
            Codes of the queries, as they were read.
        words : ndarray of shape (n_words, n_queries)
            Their words.
        block : str
            The block of the queries.
        vectors : ndarray of shape (n_queries, n_features), or None
            The queries' vectors.
        """
        check_rerank(self.rerank, self.n_candidates)
        if self.rerank != "vectors" and vectors is not None:
            raise ValueError(
                f"vectors of queries are used with rerank='vectors' alone, got rerank="
                f"{self.rerank!r}: set it, or leave the vectors out."
            )
        if self.rerank == "asymmetric":
            if self.algorithm == "faiss-ivf":
                raise ValueError(
                    "algorithm='faiss-ivf' has no asymmetric distances: use an exact algorithm, or "
                    "rerank='vectors'."
                )
            return Asymmetric.of(codes)
        if self.rerank is None:
            return words
        self._check_has_vectors()
        if vectors is None:
            raise ValueError(
                "rerank='vectors' needs the vectors of the queries: give vectors=features, with "
                "features of one space, or real codes."
            )
        gallery = self._vectors_of(ANSWERS[block])
        read = read_vectors(_in_order(vectors), len(codes), gallery.shape[1], "query vectors")
        return Rescored(words, read, gallery, self.n_candidates)

    def _own_queries(self, words):
        """Return the items of an index that is not paired, as queries to it."""
        check_rerank(self.rerank, self.n_candidates)
        if self.rerank == "asymmetric":
            raise ValueError(
                "rerank='asymmetric' needs real codes of the queries, and the index holds bits: "
                "give the real codes of its items as X."
            )
        if self.rerank is None:
            return words
        self._check_has_vectors()
        vectors = self.vectors_ if self._keep is None else self.vectors_[self._keep]
        parts = words, np.asarray(vectors), self.vectors_
        return Rescored(*parts, self.n_candidates, self._item_rows())


def check_modality(vectors, X, *, paired):
    """Check that vectors are of the modality of the codes `X`, where names of columns tell both.

    If an index is not paired, codes of both modalities are one code, with vectors of any.
    """
    columns = [table_columns(table) for table in (X, vectors)]
    of_codes, of_vectors = (list(named_columns(names or [])) for names in columns)
    is_joined = not paired and len(of_codes) == 2
    if of_codes and of_vectors and of_codes != of_vectors and not is_joined:
        wanted, given = (
            " and ".join(f"{block}__*" for block in blocks) for blocks in (of_codes, of_vectors)
        )
        raise ValueError(
            f"the codes have {wanted} columns, got vectors of {given} columns: give the vectors of "
            f"the same rows, in {wanted} columns, or an array if they are that."
        )


def _in_order(vectors):
    """Return the columns of a table image block first; anything else as it is."""
    columns = table_columns(vectors)
    if columns is None:
        return vectors
    blocks = named_columns(columns)
    array = np.asarray(vectors)
    return np.hstack([array[:, places] for places in blocks.values()]) if blocks else array
