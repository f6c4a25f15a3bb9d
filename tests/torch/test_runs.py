import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning

from skhash._torch.runs import Epochs, Progress, hold_out


class Weight(torch.nn.Module):
    """A module of one number."""

    def __init__(self):
        super().__init__()
        self.value = torch.nn.Parameter(torch.zeros(()))

    def set(self, value):
        with torch.no_grad():
            self.value.fill_(value)


def run(values, scores=None, **options):
    """Train for one epoch a value; an exception in place of a value is raised in its epoch."""
    weight = Weight()
    epochs = Epochs(weight, len(values), **options)
    with epochs:
        for value, score in zip(values, scores or [None] * len(values), strict=True):
            if isinstance(value, BaseException):
                weight.set(-1)
                raise value
            weight.set(value)
            epochs.add(score)
            if epochs.stopped:
                break
    return weight.value.item(), epochs


def test_the_last_epoch_is_kept_where_there_are_no_scores():
    value, epochs = run([1, 2, 3])
    assert (value, epochs.done, epochs.kept, epochs.broken) == (3, 3, 3, False)


def test_the_best_epoch_is_kept_where_there_are_scores():
    value, epochs = run([1, 2, 3], [0.1, 0.5, 0.2], patience=5)
    assert (value, epochs.done, epochs.kept) == (2, 3, 2)


def test_a_rise_within_tol_is_kept_but_no_improvement():
    value, epochs = run([1, 2, 3, 4], [0.5, 0.52, 0.54, 0.9], tol=0.1, patience=2)
    assert (value, epochs.done) == (3, 3)


@pytest.mark.parametrize(
    ("error", "reason"),
    [(KeyboardInterrupt(), "interrupted"), (FloatingPointError("the loss is nan."), "loss is nan")],
)
def test_an_epoch_that_breaks_off_leaves_the_last_whole_one(error, reason):
    message = (
        rf"after 2 of 3 epochs \(.*{reason}\): the estimator has the weights of the last whole"
    )
    with pytest.warns(ConvergenceWarning, match=message):
        value, epochs = run([1, 2, error])
    assert (value, epochs.done, epochs.kept, epochs.broken) == (2, 2, 2, True)


def test_an_epoch_that_breaks_off_leaves_the_best_one_where_there_are_scores():
    with pytest.warns(ConvergenceWarning, match="the weights of the best epoch"):
        value, _ = run([1, 2, KeyboardInterrupt()], [0.5, 0.1, None], patience=5)
    assert value == 1


def test_weights_that_are_not_finite_count_as_an_epoch_that_breaks_off():
    with pytest.warns(ConvergenceWarning, match="the weights are not finite after epoch 2"):
        value, epochs = run([1, float("nan"), 3])
    assert (value, epochs.done) == (1, 1)


@pytest.mark.parametrize("error", [KeyboardInterrupt, FloatingPointError])
def test_without_a_whole_epoch_the_error_is_raised(error):
    with pytest.raises(error):
        run([error()])


def test_too_few_whole_epochs_are_as_none():
    with pytest.raises(KeyboardInterrupt):
        run([1, 2, KeyboardInterrupt()], needed=3)


def test_other_errors_are_raised():
    with pytest.raises(RuntimeError, match="memory"):
        run([1, RuntimeError("out of memory")])


def test_epochs_go_on_from_their_state():
    _, epochs = run([1, 2], [0.5, 0.1], patience=5)
    weight = Weight()
    again = Epochs(weight, 3, patience=2)
    again.resume(epochs.state())
    with again:
        weight.set(3)
        again.add(0.2)
    assert (weight.value.item(), again.done, again.kept, again.stopped) == (1, 3, 1, True)


def test_held_out_groups_are_whole():
    groups = np.repeat(np.arange(6), 5)
    training, held = hold_out(30, groups, 0.3, seed=0)
    assert set(groups[training]).isdisjoint(groups[held])
    np.testing.assert_array_equal(np.sort(np.r_[training, held]), np.arange(30))


def test_rows_without_groups_are_held_out_one_by_one():
    training, held = hold_out(10, None, 0.3, seed=0)
    assert (len(training), len(held)) == (7, 3)


def test_rows_of_one_group_cannot_be_held_out():
    with pytest.raises(ValueError, match="all 10 rows are of one group"):
        hold_out(10, np.zeros(10, dtype=int), 0.3, seed=0)


@pytest.mark.parametrize(("verbose", "lines"), [(0, 0), (1, 10), (2, 20)])
def test_verbosity_sets_the_number_of_lines(capsys, verbose, lines):
    progress = Progress("Hasher", 20, verbose)
    for done in range(1, 21):
        progress.tell(done, "loss 0.5")
    assert len(capsys.readouterr().out.splitlines()) == lines


def test_a_line_tells_epoch_and_times(capsys):
    Progress("Hasher", 3, 2).tell(2, "loss 0.25")
    line = capsys.readouterr().out
    assert line.startswith("[Hasher] epoch 2/3: loss 0.25, ")
    assert line.endswith(" s left\n")
