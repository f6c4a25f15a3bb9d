"""Neighbour graphs against dense matrices of all similarities."""

import numpy as np
import pytest
import torch
from scipy import sparse

from skhash.hashing._deep import graphs

N, K = 11, 4


@pytest.fixture
def vectors():
    return torch.from_numpy(np.random.default_rng(0).normal(size=(N, 3)))


def expected_graph(vectors, excluded=None):
    similarity = (vectors @ vectors.T).numpy().copy()
    if excluded is not None:
        similarity[excluded] = 0
    graph = np.zeros((N, N))
    for row in range(N):
        nearest = np.argsort(-similarity[row])[:K]
        graph[row, nearest] = np.maximum(similarity[row, nearest], 0)
    return graph


@pytest.mark.parametrize(("strip", "chunk"), [(2**24, 4096), (1, 4096), (3 * N, 2)])
def test_neighbours_are_the_most_similar_rows_however_they_are_read(
    vectors, monkeypatch, strip, chunk
):
    monkeypatch.setattr(graphs, "STRIP", strip)
    monkeypatch.setattr(graphs, "CHUNK", chunk)
    graph = graphs.nearest_neighbors(lambda rows: vectors[rows], N, K)
    np.testing.assert_allclose(graph.toarray(), expected_graph(vectors), atol=1e-12)
    assert graph.nnz <= N * K


def test_excluded_rows_are_no_neighbours(vectors):
    excluded = np.eye(N, dtype=bool)
    excluded[2, 5] = True
    graph = graphs.nearest_neighbors(
        lambda rows: vectors[rows], N, K, lambda rows: torch.from_numpy(excluded[rows])
    ).toarray()
    np.testing.assert_allclose(graph, expected_graph(vectors, excluded), atol=1e-12)
    assert graph[2, 5] == 0
    assert not graph.diagonal().any()


def test_steps_of_a_random_walk_are_probabilities():
    similarities = sparse.csr_matrix(np.array([[0, 3.0, 1.0], [0, 0, 0], [2.0, 0, 0]]))
    walk = graphs.random_walk(similarities).toarray()
    np.testing.assert_allclose(walk, [[0, 0.75, 0.25], [0, 0, 0], [1, 0, 0]])
    assert similarities[0, 1] == 3


def test_a_sparse_graph_gives_what_a_dense_one_gives(vectors, monkeypatch):
    weights = graphs.nearest_neighbors(lambda rows: vectors[rows], N, K)
    rows = np.array([7, 0, 3])
    dense = graphs.NeighborGraph(weights, torch.device("cpu"))
    monkeypatch.setattr(graphs, "DENSE", N - 1)
    thin = graphs.NeighborGraph(weights, torch.device("cpu"))
    assert sparse.issparse(thin.weights)
    full = weights.toarray()
    for graph in (dense, thin):
        np.testing.assert_allclose(graph.between(rows), full[np.ix_(rows, rows)], atol=1e-12)
        np.testing.assert_allclose(graph.shared(rows), (full @ full.T)[np.ix_(rows, rows)])


@pytest.mark.parametrize(
    ("wanted", "n_rows", "expected"),
    [(None, 2000, 500), (None, 9000, 1000), (None, 3, 1), (7, 100, 7), (500, 30, 29)],
)
def test_a_row_has_fewer_neighbours_than_there_are_rows(wanted, n_rows, expected):
    assert graphs.count_neighbors(wanted, n_rows) == expected
