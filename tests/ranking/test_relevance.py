import numpy as np
import pytest

from skhash._ranking.relevance import count_grades, encode_labels, grade, grade_itself


@pytest.mark.parametrize("n_labels", [1, 24, 64, 65, 130])
def test_the_grade_of_indicators_is_the_number_of_shared_labels(n_labels):
    rng = np.random.default_rng(0)
    y_query, y_gallery = rng.random((5, n_labels)) < 0.3, rng.random((9, n_labels)) < 0.3
    y_query[0, 0] = y_gallery[0, 0] = True
    shared = (y_query[:, None] & y_gallery).sum(axis=2)
    words = encode_labels(y_query, y_gallery, 5, 9)
    n_grades = count_grades(*words)
    assert n_grades == 1 + min(y_query.sum(axis=1).max(), y_gallery.sum(axis=1).max())
    np.testing.assert_array_equal(grade(*words, n_grades), shared)
    np.testing.assert_array_equal(grade(*words, 2), shared > 0)
    np.testing.assert_array_equal(grade_itself(words[0], n_labels + 1), y_query.sum(axis=1))
    np.testing.assert_array_equal(grade_itself(words[0], 2), y_query.any(axis=1))


def test_the_grade_of_classes_is_equality():
    labels = encode_labels([1, 2], [2, 2, 1], 2, 3)
    assert count_grades(*labels) == 2
    assert grade(*labels, 2).tolist() == [[0, 0, 1], [1, 1, 0]]
    assert grade_itself(labels[1], 2).tolist() == [1, 1, 1]


def test_the_number_one_is_not_the_string_one():
    assert not grade(*encode_labels([1, 2], ["1", "2", "2"], 2, 3), 2).any()


def test_no_labels_means_pairs():
    assert grade(*encode_labels(None, None, 3, 3), 2).tolist() == np.eye(3).tolist()


@pytest.mark.parametrize(
    ("sides", "message"),
    [
        (([1, 2], None), "for the queries and not for the gallery: give them for both"),
        ((None, [1, 2]), "for the gallery and not for the queries: give them for both"),
    ],
)
def test_the_side_without_labels_is_named_in_words_that_fit_every_signature(sides, message):
    with pytest.raises(ValueError, match=f"on one side only, {message}") as raised:
        encode_labels(*sides, 2, 2)
    assert "y_query" not in str(raised.value)
