import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning

from skhash.hashing import CFRHHasher
from skhash.hashing._deep.watch import (
    code_statistics,
    epoch_line,
    pair_distances,
    warn_of_collapse,
    warn_of_memory,
)


def test_statistics_of_distinct_and_of_equal_codes():
    distinct = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    assert code_statistics(distinct) == {"unique_share": 1.0, "mean_abs": 1.0}
    assert code_statistics(np.full((4, 2), 0.5)) == {"unique_share": 0.25, "mean_abs": 0.5}


def test_the_most_codes_there_can_be_are_limited_by_the_bits():
    codes = np.tile([[1.0], [-1.0]], (50, 1))
    assert code_statistics(codes)["unique_share"] == 1.0


def test_collapse_warns_with_its_figures_and_a_remedy():
    statistics = {"text": {"unique_share": 0.005, "mean_abs": 1.0}}
    with pytest.warns(ConvergenceWarning, match=r"text codes have collapsed.*0\.5%.*1\.00.*Lower"):
        warn_of_collapse(statistics, n_rows=2000)


def test_two_codes_for_many_rows_are_a_collapse():
    with pytest.warns(ConvergenceWarning, match=r"text codes have collapsed"):
        warn_of_collapse({"text": {"unique_share": 2 / 60, "mean_abs": 1.0}}, n_rows=60)


def test_healthy_codes_do_not_warn(recwarn):
    warn_of_collapse({"text": {"unique_share": 0.16, "mean_abs": 0.98}}, n_rows=2000)
    assert not recwarn


def test_a_line_tells_loss_terms_and_score():
    terms = {"cross": 0.25, "total": 0.25}
    assert epoch_line(terms, None) == "loss 0.2500 (cross 0.2500)"
    assert epoch_line(terms, 0.125).endswith(", validation score 0.1250")


def test_distances_of_pairs_and_of_strangers_are_means_over_all():
    rng = np.random.default_rng(0)
    image, text = rng.random((2, 9, 5)) < 0.4
    distance, strangers = pair_distances(image, text)
    assert distance == pytest.approx(np.mean([a != b for a, b in zip(image, text, strict=True)]))
    assert strangers == pytest.approx(np.mean([a != b for a in image for b in text]))


def test_pairs_that_agree_only_where_they_were_trained_on_warn():
    with pytest.warns(
        ConvergenceWarning, match=r"in 2%.*in 48%.*unrelated rows \(49%\).*memorised"
    ):
        warn_of_memory(distance=0.02, held_out_distance=0.48, stranger_distance=0.49)


@pytest.mark.parametrize(
    "distances",
    [
        {"distance": 0.02},
        {"distance": 0.02, "held_out_distance": 0.4, "stranger_distance": 0.5},
        {"distance": 0.4, "held_out_distance": 0.49, "stranger_distance": 0.5},
    ],
)
def test_other_distances_do_not_warn(distances, recwarn):
    warn_of_memory(**distances)
    assert not recwarn


def related(n_rows, seed=0):
    """Pairs of 6 image and 7 text features of three topics."""
    rng = np.random.default_rng(seed)
    topics = rng.normal(size=(n_rows, 3))
    blocks = topics @ rng.normal(size=(3, 6)), topics @ rng.normal(size=(3, 7))
    return np.hstack([x + 0.1 * rng.normal(size=x.shape) for x in blocks]).astype(np.float32)


def hasher(**parameters):
    few = {"n_image_features": 6, "hidden_units": 8, "batch_size": 32, "random_state": 0}
    return CFRHHasher(8, **{**few, **parameters})


def test_codes_of_held_out_pairs_are_looked_at():
    distances = hasher(max_iter=4).fit(related(400)).code_statistics_["pairs"]
    assert list(distances) == ["distance", "held_out_distance", "stranger_distance"]
    assert distances["distance"] < distances["stranger_distance"]
    assert distances["held_out_distance"] < distances["stranger_distance"]


@pytest.mark.parametrize(
    ("n_rows", "parameters"), [(400, {"watch_fraction": 0.0}), (100, {}), (400, {"max_iter": 1})]
)
def test_few_pairs_or_epochs_are_all_trained_on(n_rows, parameters):
    fitted = hasher(**{"max_iter": 4, **parameters}).fit(related(n_rows))
    assert list(fitted.code_statistics_["pairs"]) == ["distance"]


@pytest.mark.parametrize(
    "groups", [np.zeros(400), np.arange(400) % 2, np.minimum(np.arange(400), 5)]
)
def test_groups_that_are_too_large_are_all_trained_on(groups):
    fitted = hasher(max_iter=4).fit(related(400), groups=groups)
    assert list(fitted.code_statistics_["pairs"]) == ["distance"]


def test_few_validation_pairs_say_nothing(recwarn):
    fitted = hasher(max_iter=4).fit(related(400), X_val=related(10, seed=1))
    assert list(fitted.code_statistics_["pairs"]) == ["distance"]
    assert not recwarn


def test_the_loss_of_an_epoch_is_a_mean_over_the_rows_trained_on(monkeypatch):
    monkeypatch.setattr(CFRHHasher, "_step", lambda *_: {"term": torch.ones(())})
    curve = hasher(max_iter=4).fit(related(400)).loss_curve_
    np.testing.assert_allclose(curve["term"], 1, rtol=1e-5)


def test_the_watched_pairs_of_an_interrupted_fit_are_looked_at(monkeypatch):
    step = CFRHHasher._step

    def interrupted(self, run, batch):
        if batch.epoch == 2:
            raise KeyboardInterrupt
        return step(self, run, batch)

    monkeypatch.setattr(CFRHHasher, "_step", interrupted)
    with pytest.warns(ConvergenceWarning, match="2 of 8 epochs"):
        fitted = hasher(max_iter=8).fit(related(400))
    assert "held_out_distance" in fitted.code_statistics_["pairs"]


def test_validation_pairs_are_looked_at_where_there_are_any():
    X = related(120)
    fitted = hasher(max_iter=2).fit(X[:100], X_val=X[100:])
    image, text = np.split(fitted.transform(X[100:]), 2, axis=1)
    held_out = fitted.code_statistics_["pairs"]["held_out_distance"]
    assert held_out == pytest.approx(np.mean(image != text))


def test_watched_pairs_are_trained_on_in_the_last_quarter(monkeypatch):
    rows_of, step = {}, CFRHHasher._step

    def noted(self, run, batch):
        rows_of.setdefault(batch.epoch, []).extend(batch.rows)
        return step(self, run, batch)

    monkeypatch.setattr(CFRHHasher, "_step", noted)
    groups = np.arange(400) // 4
    hasher(max_iter=8).fit(related(400), groups=groups)
    n_rows = [len(set(rows)) for rows in rows_of.values()]
    assert n_rows == [380] * 6 + [400] * 2
    watched = set(range(400)) - set(rows_of[0])
    assert len({groups[row] for row in watched}) == 5


def test_rows_that_do_not_belong_together_are_warned_of():
    X = np.random.default_rng(0).normal(size=(400, 13)).astype(np.float32)
    with pytest.warns(
        ConvergenceWarning, match="Check that the rows of both blocks belong"
    ) as seen:
        hasher(max_iter=60, hidden_units=256).fit(X)
    assert [warning.filename for warning in seen] == [__file__]
