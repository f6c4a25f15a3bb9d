from copy import copy
from itertools import combinations

import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import NotFittedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    HalvingGridSearchCV,
    RandomizedSearchCV,
)
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skhash.hashing import CCAHasher, ITQHasher, RandomHyperplaneHasher, SignHasher
from skhash.metrics import HasherSearchDisplay, RetrievalScorer

pytestmark = pytest.mark.usefixtures("pyplot")

GIVEN = {"n_image_features": 8, "random_state": 0}
CCA, ITQ = CCAHasher(**GIVEN), ITQHasher(**GIVEN)
PIPELINE = Pipeline([("hash", CCA)])
SCORER = RetrievalScorer()


class Broken(TransformerMixin, BaseEstimator):
    """A hasher whose fits fail."""

    def __init__(self, n_bits=8):
        self.n_bits = n_bits

    def fit(self, X, y=None):
        raise ValueError("broken")


@pytest.fixture(scope="module")
def pairs():
    rng = np.random.default_rng(0)
    topics = rng.normal(size=(60, 4))
    X = np.hstack([topics @ rng.normal(size=(4, 8)), topics @ rng.normal(size=(4, 8))])
    return X + 0.5 * rng.normal(size=X.shape)


def search(pairs, grid, estimator=PIPELINE, kind=GridSearchCV, **options):
    return kind(estimator, grid, **{"scoring": SCORER, "cv": 3} | options).fit(pairs)


@pytest.fixture(scope="module")
def both(pairs):
    return search(pairs, {"hash": [CCA, ITQ], "hash__n_bits": [4, 16], "hash__ridge": [0.1, 10.0]})


def draw(fitted, **options):
    return HasherSearchDisplay.from_search(fitted, **options)


def test_the_best_candidate_of_each_hasher_and_length_is_drawn(both):
    display = draw(both)
    assert display.hashers == ["CCA", "CCA", "ITQ", "ITQ"]
    assert list(display.n_bits) == [4, 16, 4, 16]
    results = both.cv_results_
    for point, row in enumerate(display.candidates):
        alike = [
            other
            for other, params in enumerate(results["params"])
            if type(params["hash"]).__name__ == f"{display.hashers[point]}Hasher"
            and params["hash__n_bits"] == display.n_bits[point]
        ]
        assert len(alike) == 2
        assert display.scores[point] == max(results["mean_test_score"][alike])
        assert display.scores[point] == results["mean_test_score"][row]
        assert display.spreads[point] == results["std_test_score"][row]
        assert display.seconds[point] == results["mean_fit_time"][row]


def test_each_hasher_has_a_line_against_bits_and_one_against_seconds(both):
    display = draw(both)
    bits, seconds = display.axes_
    assert len(display.lines_) == 4
    for line, axes in zip(display.lines_, [bits, bits, seconds, seconds], strict=True):
        assert line[0].axes is axes
    for line, points in zip(display.lines_[2:], ([0, 1], [2, 3]), strict=True):
        np.testing.assert_array_equal(line[0].get_xdata(), display.seconds[points])
        np.testing.assert_array_equal(line[0].get_ydata(), display.scores[points])
    assert bits.get_xscale() == seconds.get_xscale() == "log"
    assert [label.get_text() for label in bits.get_xticklabels()] == ["4", "16"]
    assert bits.get_xlabel() == "bits"
    assert "seconds" in seconds.get_xlabel()
    assert bits.get_ylabel() == "mAP on held-out folds"


def test_the_chosen_candidate_is_marked(both):
    display = draw(both)
    assert display.candidates[display.chosen] == both.best_index_
    for ring, x in zip(display.chosen_, (display.n_bits, display.seconds), strict=True):
        assert ring.get_xdata()[0] == pytest.approx(x[display.chosen], rel=0.1)
        assert ring.get_ydata()[0] == both.best_score_
    n_bits = both.best_params_["hash__n_bits"]
    assert display.axes_[0].get_title(loc="left") == f"Chosen: CCA, {n_bits} bits"
    assert list(display.to_frame()["chosen"]) == [i == display.chosen for i in range(4)]


def test_what_another_rule_chose_stands_for_its_hasher_and_length(pairs):
    grid = {"hash": [CCA], "hash__n_bits": [4, 8], "hash__ridge": [0.1, 10.0]}
    worst = search(pairs, grid, refit=lambda results: int(np.argmin(results["mean_test_score"])))
    display = draw(worst)
    assert display.candidates[display.chosen] == worst.best_index_
    assert display.scores[display.chosen] == min(worst.cv_results_["mean_test_score"])


def assert_apart(labels):
    boxes = [label.get_window_extent() for label in labels]
    for one, other in combinations(boxes, 2):
        assert not one.overlaps(other)


def many(n_lines, n_points, level):
    """A display of made lines that lie close together."""
    rng = np.random.default_rng(0)
    lengths = 2.0 ** np.arange(4, 4 + n_points)
    scores = level * rng.normal(size=(n_lines, n_points)).cumsum(axis=1)
    return HasherSearchDisplay(
        [f"hasher {line}" for line in range(n_lines) for _ in range(n_points)],
        np.tile(lengths, n_lines),
        scores.ravel(),
        np.full(n_lines * n_points, level / 10),
        10.0 ** rng.normal(size=n_lines * n_points),
        chosen=0,
    )


@pytest.mark.parametrize("n_lines", [1, 2, 5, 8])
@pytest.mark.parametrize("n_points", [1, 4])
@pytest.mark.parametrize("level", [1e-9, 1.0])
def test_labels_do_not_overlap(n_lines, n_points, level):
    display = many(n_lines, n_points, level).plot()
    display.figure_.draw_without_rendering()
    assert len(display.labels_) == 2 * n_lines
    for panel, axes in enumerate(display.axes_):
        labels = display.labels_[panel * n_lines : (panel + 1) * n_lines]
        assert {label.axes for label in labels} == {axes}
        assert_apart(labels)
    width, height = display.figure_.get_size_inches() * display.figure_.dpi
    for label in display.labels_:
        box = label.get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= width + 1
        assert box.y0 >= 0
        assert box.y1 <= height


def test_lines_differ_in_colour_or_marker():
    display = many(9, 2, 1.0).plot()
    looks = [(line[0].get_color(), line[0].get_marker()) for line in display.lines_[:9]]
    assert len(set(looks)) == 9


def test_a_search_of_a_bare_hasher_is_drawn(pairs):
    bare = search(pairs, {"n_bits": [4, 8], "ridge": [0.1, 1.0]}, CCA, scoring=None)
    display = draw(bare)
    assert display.hashers == ["CCA", "CCA"]
    assert list(display.n_bits) == [4, 8]
    assert display.axes_[0].get_ylabel() == "score on held-out folds"


def test_a_search_that_changes_only_a_fixed_step_is_drawn(pairs):
    fixed = search(pairs, {"hash__ridge": [0.1, 1.0]}, Pipeline([("hash", CCAHasher(12, **GIVEN))]))
    display = draw(fixed)
    assert (display.hashers, list(display.n_bits)) == (["CCA"], [12])


def test_a_random_search_is_drawn(pairs):
    options = {"kind": RandomizedSearchCV, "n_iter": 5, "random_state": 0}
    display = draw(search(pairs, {"hash": [CCA, ITQ], "hash__n_bits": range(4, 20)}, **options))
    assert len(display.scores) == 5


def test_grids_of_several_parts_and_lengths_of_the_hashers_are_read(pairs):
    inner = make_pipeline(FunctionTransformer(), ITQHasher(4, **GIVEN))
    grid = [
        {"hash": [CCA], "hash__n_bits": [4, 8]},
        {"hash": [CCAHasher(12, **GIVEN), inner]},
        {"hash": [inner], "hash__itqhasher__n_bits": [16]},
        {"hash__n_bits": [24]},
    ]
    display = draw(search(pairs, grid))
    assert display.hashers == ["CCA"] * 4 + ["FunctionTransformer + ITQ"] * 2
    assert list(display.n_bits) == [4, 8, 12, 24, 4, 16]


def test_hashers_of_a_class_are_named_by_what_differs(pairs):
    grid = {
        "hash": [CCAHasher(4, **GIVEN), ITQHasher(4, space="image", **GIVEN)]
        + [ITQHasher(n, space="text", **GIVEN | {"random_state": n}) for n in (4, 8)]
    }
    display = draw(search(pairs, grid))
    assert display.hashers == ["CCA", "ITQ, space=image", "ITQ, space=text", "ITQ, space=text"]


def test_names_may_split_by_a_parameter_of_the_grid(pairs):
    grid = {"hash": [ITQ], "hash__space": ["image", "text"], "hash__n_bits": [4, 8]}
    fitted = search(pairs, grid)
    assert draw(fitted).hashers == ["ITQ", "ITQ"]
    display = draw(fitted, names=lambda hasher: f"into {hasher.space}")
    assert display.hashers == ["into image", "into image", "into text", "into text"]


def test_candidates_without_a_length_are_dotted_lines(pairs):
    sign = SignHasher(space="image", **GIVEN)
    grid = [
        {"hash": [CCA], "hash__n_bits": [4, 8]},
        {"hash": ["passthrough", sign, FeatureUnion([("a", CCA), ("b", ITQ)])]},
    ]
    display = draw(search(pairs, grid))
    assert display.hashers == ["CCA", "CCA", "passthrough", "Sign", "FeatureUnion"]
    assert np.isnan(display.n_bits[2:]).all()
    dotted = [line for line in display.axes_[0].lines if line.get_linestyle() == ":"]
    assert [line.get_ydata()[0] for line in dotted] == list(display.scores[2:])
    assert display.axes_[0].get_title(loc="left") == "Chosen: FeatureUnion"


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning")
@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite")
def test_fits_that_failed_are_left_out(pairs):
    grid = [{"hash": [CCA, Broken()], "hash__n_bits": [4]}, {"hash": [ITQ], "hash__n_bits": [4, 0]}]
    fitted = search(pairs, grid)
    with pytest.warns(UserWarning, match="no finite score for Broken: not drawn"):
        display = draw(fitted)
    assert display.hashers == ["CCA", "ITQ"]


def test_a_search_without_a_score_is_told(both):
    failed = copy(both)
    failed.cv_results_ = both.cv_results_ | {"mean_test_score": np.full(8, np.nan)}
    with pytest.raises(ValueError, match="no candidate of the search has a finite mean_test_score"):
        draw(failed)


def test_halving_compares_candidates_of_as_many_resources(pairs):
    grid = {"hash": [CCA, ITQ], "hash__n_bits": [4, 16], "hash__ridge": [0.1, 10.0]}
    options = {"kind": HalvingGridSearchCV, "min_resources": 20, "factor": 2, "random_state": 0}
    fitted = search(pairs, grid, **options)
    display = draw(fitted)
    resources = fitted.cv_results_["n_resources"]
    np.testing.assert_array_equal(display.finished, resources[display.candidates] == max(resources))
    assert not display.finished.all()
    assert display.candidates[display.chosen] == fitted.best_index_
    for point, row in enumerate(display.candidates):
        alike = [
            other
            for other, params in enumerate(fitted.cv_results_["params"])
            if params["hash__n_bits"] == display.n_bits[point]
            and type(params["hash"]).__name__ == f"{display.hashers[point]}Hasher"
        ]
        assert resources[row] == max(resources[alike])
    assert "Hollow" in display.axes_[1].get_title(loc="left")


@pytest.fixture(scope="module")
def scored_twice(pairs):
    scoring = {"map": SCORER, "first": RetrievalScorer("hit_rate", k=1)}
    grid = {"hash": [CCA, ITQ], "hash__n_bits": [4, 8]}
    return search(pairs, grid, scoring=scoring, refit="map")


@pytest.mark.parametrize(
    ("metric", "column", "label"),
    [(None, "map", "mAP"), ("map", "map", "mAP"), ("first", "first", "hit rate at 1")],
)
def test_one_of_several_scores_is_drawn(scored_twice, metric, column, label):
    display = draw(scored_twice, metric=metric)
    means = scored_twice.cv_results_[f"mean_test_{column}"]
    np.testing.assert_array_equal(display.scores, means[display.candidates])
    assert display.axes_[0].get_ylabel() == f"{label} on held-out folds"
    assert display.candidates[display.chosen] == scored_twice.best_index_


def test_a_score_that_is_not_there_is_told(scored_twice):
    with pytest.raises(ValueError, match="metric must be one of 'map', 'first', got 'ndcg'"):
        draw(scored_twice, metric="ndcg")


def test_several_scores_without_a_choice_are_told(pairs):
    scoring = {"map": SCORER, "first": RetrievalScorer("hit_rate", k=1)}
    fitted = search(pairs, {"hash": [CCA]}, scoring=scoring, refit=False)
    with pytest.raises(ValueError, match="the scores 'map', 'first', and refit names none"):
        draw(fitted)
    assert draw(fitted, metric="map").chosen is None


def test_several_hashers_are_told_and_one_can_be_named(pairs):
    union = FeatureUnion([("a", CCAHasher(4, **GIVEN)), ("b", ITQHasher(4, **GIVEN))])
    fitted = search(pairs, {"a__n_bits": [4, 8], "b__ridge": [0.1, 1.0]}, union)
    with pytest.raises(ValueError, match="hashers in the parameters 'a', 'b': say which"):
        draw(fitted)
    assert list(draw(fitted, hasher="a").n_bits) == [4, 8]
    assert draw(fitted, hasher="b").hashers == ["ITQ"]
    with pytest.raises(ValueError, match=r"hasher must be a parameter .* got 'c'"):
        draw(fitted, hasher="c")


def test_a_search_without_hashers_is_told_and_can_be_drawn_by_name(pairs):
    grid = {"a__kw_args": [None, {}]}
    fitted = search(pairs, grid, Pipeline([("a", FunctionTransformer())]))
    with pytest.raises(ValueError, match="the search has no hasher"):
        draw(fitted)
    assert draw(fitted, hasher="a").hashers == ["FunctionTransformer"]


def test_a_search_that_is_not_fitted_is_told():
    with pytest.raises(NotFittedError):
        draw(GridSearchCV(PIPELINE, {"hash": [CCA]}))


def dotted(axes):
    return [line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == ":"]


def test_the_chance_level_is_a_line_where_it_is_near_and_a_number_where_it_is_far(both):
    scores = draw(both).scores
    for axes in draw(both, chance_level=min(scores)).axes_:
        assert dotted(axes) == [min(scores)]
        assert "random codes" in [text.get_text() for text in axes.texts]
    for axes in draw(both, chance_level=-9).axes_:
        assert not dotted(axes)
        assert axes.get_ylim()[0] > 0
        assert "random codes: -9.000" in [text.get_text() for text in axes.texts]


def test_the_title_and_the_name_of_the_score_can_be_given(both):
    display = draw(both, name="a title", score_name="quality")
    for axes in display.axes_:
        assert axes.get_ylabel() == "quality on held-out folds"
    assert display.figure_.get_suptitle() == "a title"


def test_folds_by_group_leave_the_display_as_it_is(pairs):
    groups = np.arange(60) // 5
    fitted = GridSearchCV(
        PIPELINE,
        {"hash": [CCA, RandomHyperplaneHasher(space="image", **GIVEN)], "hash__n_bits": [8]},
        scoring=SCORER,
        cv=GroupKFold(3),
    ).fit(pairs, groups, groups=groups)
    assert draw(fitted).hashers == ["CCA", "RandomHyperplane"]


def test_a_time_of_zero_can_be_drawn(both):
    points = draw(both)
    display = HasherSearchDisplay(
        points.hashers, points.n_bits, points.scores, points.spreads, np.zeros(4)
    ).plot()
    assert np.isfinite(display.axes_[1].get_xlim()).all()
