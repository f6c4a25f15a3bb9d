import numpy as np
import pytest

from skhash.metrics import (
    RetrievalCurveDisplay,
    precision_at_k,
    precision_recall_by_radius,
    precision_recall_by_rank,
)

pytestmark = pytest.mark.usefixtures("pyplot")


def example(n_bits=6):
    rng = np.random.default_rng(0)
    codes = rng.random((5, n_bits)) < 0.5, rng.random((20, n_bits)) < 0.5
    return *codes, np.arange(5) % 3, np.arange(20) % 3


def draw(**options):
    return RetrievalCurveDisplay.from_codes(*example(), **options)


def assert_drawn(display, x, precision):
    np.testing.assert_array_equal(display.line_.get_xdata(), x)
    np.testing.assert_array_equal(display.line_.get_ydata(), precision)
    np.testing.assert_array_equal(display.precision, precision)


@pytest.mark.parametrize("ties", ["expected", "pessimistic"])
def test_by_rank_it_draws_what_the_function_returns(ties):
    precision, recall, ranks = precision_recall_by_rank(*example(), ties=ties)
    display = draw(kind="rank", ties=ties)
    assert_drawn(display, recall, precision)
    np.testing.assert_array_equal(display.steps, ranks)
    assert display.ax_.get_xlabel() == "recall"


def test_by_radius_it_draws_what_the_function_returns():
    precision, recall, radii = precision_recall_by_radius(*example())
    display = draw(kind="radius")
    assert_drawn(display, recall, precision)
    np.testing.assert_array_equal(display.steps, radii)
    assert display.line_.get_marker() == "."


@pytest.mark.parametrize("k", [None, [1, 5, 10], range(2, 9, 3)])
def test_top_k_draws_what_the_function_returns(k):
    display = draw(kind="top-k", k=k, ties="optimistic")
    k = np.arange(1, 21) if k is None else list(k)
    assert_drawn(display, k, precision_at_k(*example(), k=k, ties="optimistic"))
    assert display.recall is None
    assert display.ax_.get_xlabel() == "k"


@pytest.mark.parametrize("kind", ["rank", "radius", "top-k"])
def test_the_chance_level_is_the_share_of_relevant_pairs(kind):
    _, _, y_query, y_gallery = example()
    share = (y_query[:, None] == y_gallery).mean()
    display = draw(kind=kind)
    assert display.chance_level == pytest.approx(share)
    np.testing.assert_allclose(display.chance_level_.get_ydata(), share)


@pytest.mark.parametrize("level", [None, 0.5])
def test_the_chance_level_is_drawn_only_where_it_is_known_and_wanted(level):
    display = RetrievalCurveDisplay([1, 0.5], [0.5, 1], [1, 2], chance_level=level)
    assert (display.plot().chance_level_ is None) == (level is None)
    assert display.plot(plot_chance_level=False).chance_level_ is None


def test_the_functions_values_are_the_constructors():
    values = precision_recall_by_rank(*example())
    display = RetrievalCurveDisplay(*values).plot()
    assert_drawn(display, values[1], values[0])
    assert display.ax_.get_legend() is None


def test_curves_share_an_axes_and_a_legend():
    first = draw(name="one")
    second = draw(name="two", ax=first.ax_, plot_chance_level=False, color="black", linewidth=3)
    labels = [text.get_text() for text in second.ax_.get_legend().get_texts()]
    assert labels == ["one", "chance, 0.340", "two"]
    assert (second.line_.get_color(), second.line_.get_linewidth()) == ("black", 3)


def test_plot_may_name_the_curve_anew():
    display = draw(name="one").plot(name="two")
    assert display.line_.get_label() == "two"


def test_an_estimator_names_its_curve_by_the_direction():
    class Encoder:
        def transform(self, X):
            return X > 0

    X = np.random.default_rng(0).normal(size=(9, 8))
    display = RetrievalCurveDisplay.from_estimator(Encoder(), X, direction="text_to_image")
    assert display.line_.get_label() == "text → image"
    np.testing.assert_array_equal(
        display.precision, precision_recall_by_rank(X[:, 4:] > 0, X[:, :4] > 0)[0]
    )


def test_an_unknown_kind_is_told():
    message = "kind must be one of 'rank', 'radius', 'top-k', got 'roc'"
    with pytest.raises(ValueError, match=message):
        draw(kind="roc")
    with pytest.raises(ValueError, match=message):
        RetrievalCurveDisplay([1], [1], [1], kind="roc").plot()


def test_k_of_another_kind_is_told():
    with pytest.raises(ValueError, match="k belongs to kind='top-k', got kind='rank'"):
        draw(kind="rank", k=[1, 2])


def test_real_codes_have_no_radius():
    with pytest.raises(TypeError, match="real embeddings have no Hamming distance"):
        RetrievalCurveDisplay.from_codes(np.eye(3) / 2, np.eye(3) / 2, kind="radius")
