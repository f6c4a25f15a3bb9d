import inspect
import sys

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import FunctionTransformer

from skhash import make_table, metrics
from skhash.hashing import SignHasher
from skhash.metrics import (
    CodeDisplay,
    HasherSearchDisplay,
    RetrievalCurveDisplay,
    RetrievalDisplay,
)

CODES = np.random.default_rng(0).random((6, 8)) < 0.5
WORDS = ["a", "b", "c", "d", "e", "f"]
DISPLAYS = {
    RetrievalCurveDisplay: (CODES, CODES),
    CodeDisplay: (CODES, CODES),
    RetrievalDisplay: (CODES, CODES, WORDS, WORDS),
}
FEATURES = np.random.default_rng(0).normal(size=(6, 8))
SEARCH = GridSearchCV(SignHasher(n_image_features=4), {"n_bits": [2, 4]}, cv=2)
N_AXES = {RetrievalCurveDisplay: 1, CodeDisplay: 3, RetrievalDisplay: 24, HasherSearchDisplay: 2}
every_display = pytest.mark.parametrize("display", N_AXES)
every_display_of_codes = pytest.mark.parametrize("display", DISPLAYS)


def draw(display, **options):
    if display is HasherSearchDisplay:
        return display.from_search(SEARCH.fit(FEATURES), **options)
    return display.from_codes(*DISPLAYS[display], **options)


def new_axes(pyplot, display, extra=0):
    n_axes = N_AXES[display]
    return pyplot.subplots(1, n_axes + extra, squeeze=False)


def test_all_displays_are_tested_here():
    assert {cls for name, cls in inspect.getmembers(metrics) if name.endswith("Display")} == set(
        N_AXES
    )


@every_display
def test_no_display_works_without_matplotlib(monkeypatch, display):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    message = rf'{display.__name__}.plot needs matplotlib.*"scikit-hash\[plot\]"'
    with pytest.raises(ImportError, match=message):
        draw(display)


@every_display
def test_a_figure_is_made_where_no_axes_are_given(pyplot, display):
    drawn = draw(display)
    assert pyplot.get_fignums() == [drawn.figure_.number]
    assert drawn.figure_.get_layout_engine() is not None
    axes = [drawn.ax_] if display is RetrievalCurveDisplay else list(drawn.axes_.flat)
    assert drawn.figure_.axes == axes


@every_display
def test_given_axes_are_used_and_their_figure_is_left_as_it_is(pyplot, display):
    figure, axes = new_axes(pyplot, display)
    before = figure.axes, tuple(figure.get_size_inches()), pyplot.get_fignums()
    drawn = draw(display, ax=axes, name="a name")
    assert drawn.figure_ is figure
    assert all(axis.has_data() or axis.texts for axis in axes.flat)
    assert (figure.axes, tuple(figure.get_size_inches()), pyplot.get_fignums()) == before
    assert figure.get_suptitle() == ""


@every_display
def test_plot_returns_the_display_and_can_be_called_again(pyplot, display):
    drawn = draw(display)
    first = drawn.figure_
    assert drawn.plot() is drawn
    assert drawn.figure_ is not first


@every_display
def test_a_wrong_number_of_axes_is_told(pyplot, display):
    _, axes = new_axes(pyplot, display, extra=1)
    with pytest.raises(ValueError, match=rf"{display.__name__} draws on \d+ axes, got {axes.size}"):
        draw(display, ax=axes)


@every_display_of_codes
@pytest.mark.parametrize("options", [{}, {"gallery": "other"}], ids=["alone", "gallery"])
def test_an_estimator_draws_what_its_codes_draw(pyplot, display, options):
    rng = np.random.default_rng(1)
    table = make_table(image=["x.png"] * 6, text=WORDS)
    codes = dict(enumerate(rng.random((12, 16)) < 0.5))
    y, y_other = rng.integers(2, size=(2, 6))
    other = make_table(image=["x.png"] * 6, text=[word.upper() for word in WORDS])

    def encode(rows):
        start = 0 if rows["text"].iloc[0] == "a" else 6
        return np.array([codes[start + row] for row in range(6)])

    estimator = FunctionTransformer(encode)
    queries, items = encode(table)[:, :8], encode(other if options else table)[:, 8:]
    labels = y, y_other if options else y
    things = ()
    if display is RetrievalDisplay:
        queries, items = encode(table)[:, 8:], encode(other if options else table)[:, :8]
        table["image"] = other["image"] = [np.zeros((2, 2), dtype=np.uint8)] * 6
        things = WORDS, list((other if options else table)["image"])
    if options:
        options = {"gallery": other, "gallery_y": y_other}
    found = display.from_estimator(estimator, table, y, **options)
    expected = display.from_codes(queries, items, *things, *labels)
    names = [name for name in inspect.signature(display).parameters if name != "name"]
    for name in names:
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


@every_display_of_codes
@pytest.mark.parametrize("direction", ["mean", "sideways"])
def test_an_unknown_direction_is_told(display, direction):
    with pytest.raises(ValueError, match=f"direction must be one of .* got '{direction}'"):
        display.from_estimator(FunctionTransformer(), CODES, direction=direction)


@every_display_of_codes
def test_gallery_labels_without_a_gallery_are_told(display):
    with pytest.raises(ValueError, match="gallery_y is given without a gallery"):
        display.from_estimator(FunctionTransformer(), CODES, gallery_y=[0] * 6)


@every_display_of_codes
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"y_query": [0] * 6}, "labels are given on one side only"),
        ({"y_query": [0] * 5, "y_gallery": [0] * 6}, "labels of another length: got 5 rows"),
    ],
)
def test_labels_that_do_not_fit_are_told(pyplot, display, labels, message):
    with pytest.raises(ValueError, match=message):
        draw(display, **labels)
