"""The hashers that learn from labels: the labels themselves, and both losses on eight rows."""

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.model_selection import GridSearchCV

from skhash.hashing import CFRHHasher, supervised
from skhash.hashing._deep.training import hold_out
from skhash.hashing._pairs import Pairs
from skhash.hashing.supervised import DCMHHasher, DSCMRHasher

CLASSES = [getattr(supervised, name) for name in supervised.__all__]
SETTINGS = {"n_bits": 6, "hidden_units": 8, "max_iter": 2, "batch_size": 10, "random_state": 0}
ONE_CLASS = np.array([0, 1, 2, 1, 0, 2, 2, 1])
INDICATORS = np.array([[1, 0, 0], [0, 1, 1], [0, 0, 0], [1, 1, 0]] * 2)

both = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)


def make(cls, **parameters):
    return cls(**{**SETTINGS, "n_image_features": 6, **parameters})


@pytest.fixture
def y(pairs):
    return np.array(["bird", "cat", "dog"])[pairs[:, -3:].argmax(axis=1)]


def similar(y, groups=None):
    """Return the similarities, pair by pair."""
    n = len(y)
    groups = np.arange(n) if groups is None else groups
    s = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            shares = y[i] == y[j] if y.ndim == 1 else np.any((y[i] == 1) & (y[j] == 1))
            s[i, j] = shares or groups[i] == groups[j]
    return s


def likelihood(theta, s):
    return np.mean(np.log(1 + np.exp(theta)) - s * theta)


def begun(hasher, X, y, groups=None, begin=None):
    """Return a training run and a batch of all rows with drawn codes."""
    check = hasher._check_pairs

    def with_labels(*arguments, **options):
        found = check(*arguments, **options)
        found.labels = hasher._check_labels(y, len(found))
        return found

    hasher._check_pairs = with_labels
    run = begin(hasher, X, groups)
    batch = run.whole()
    rng = np.random.default_rng(5)
    codes = {b: np.tanh(rng.normal(size=(8, 6))) for b in ("image", "text")}
    batch.codes = {b: torch.from_numpy(values).float() for b, values in codes.items()}
    return run, batch, codes


@pytest.mark.parametrize("y", [ONE_CLASS, INDICATORS], ids=["classes", "indicators"])
@pytest.mark.parametrize("groups", [None, np.array([0, 1, 2, 3, 4, 5, 6, 0])])
def test_the_loss_of_dcmh_equals_the_formula(begin, eight, y, groups):
    weights = {"intra_weight": 0.7, "quantization_weight": 0.6, "balance_weight": 0.4}
    hasher = make(DCMHHasher, n_image_features=5, **weights)
    run, batch, codes = begun(hasher, eight, y, groups, begin)
    i, t, s = codes["image"], codes["text"], similar(y, groups)
    signs = np.where(i + t >= 0, 1, -1)
    expected = {
        "inter": likelihood(i @ t.T / 2, s),
        "intra": 0.7 * (likelihood(i @ i.T / 2, s) + likelihood(t @ t.T / 2, s)),
        "quantization": 0.6 * sum(((h - signs) ** 2).sum(axis=1).mean() for h in (i, t)),
        "balance": 0.4 * sum((h.mean(axis=0) ** 2).sum() for h in (i, t)),
    }
    terms = {name: term.item() for name, term in hasher._loss(run, batch).items()}
    assert terms == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("y", [ONE_CLASS, INDICATORS], ids=["classes", "indicators"])
def test_the_loss_of_dscmr_equals_the_formula(begin, eight, y):
    weights = {"likelihood_weight": 0.7, "invariance_weight": 0.3}
    hasher = make(DSCMRHasher, n_image_features=5, **weights)
    run, batch, codes = begun(hasher, eight, y, begin=begin)
    i, t, s = codes["image"], codes["text"], similar(y)
    target = np.eye(3)[y] if y.ndim == 1 else y
    layer = run.networks["classifier"]
    w, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    ui, ut = (h / np.sqrt((h * h).sum(axis=1, keepdims=True)) for h in (i, t))
    thetas = [a @ b.T / 2 for a, b in ((ui, ui), (ui, ut), (ut, ut))]
    expected = {
        "classification": sum(
            np.sqrt(((h @ w.T + bias - target) ** 2).sum(axis=1)).mean() for h in (i, t)
        ),
        "likelihood": 0.7 * sum(likelihood(theta, s) for theta in thetas),
        "invariance": 0.3 * np.sqrt(((i - t) ** 2).sum(axis=1)).mean(),
    }
    terms = {name: term.item() for name, term in hasher._loss(run, batch).items()}
    assert terms == pytest.approx(expected, rel=1e-5)


def test_rows_keep_their_labels_when_some_are_taken_or_held_out():
    rows = np.arange(40)
    pairs = Pairs(rows[:, None], -rows[:, None], rows // 2, rows * 3)
    for part in (pairs.take(rows[::-3]), *hold_out(pairs, 0.3, seed=0)):
        np.testing.assert_array_equal(part.labels, 3 * part.blocks["image"][:, 0])
        np.testing.assert_array_equal(part.groups, part.blocks["image"][:, 0] // 2)


@both
@pytest.mark.parametrize("form", ["integers", "list", "indicators", "sparse"])
def test_all_forms_of_the_same_labels_give_the_same_codes(cls, form, pairs, y):
    indicators = (y[:, None] == ["bird", "cat", "dog"]).astype(int)
    given = {
        "integers": indicators.argmax(axis=1),
        "list": list(y),
        "indicators": indicators,
        "sparse": sparse.csr_matrix(indicators),
    }
    codes = make(cls).fit(pairs, y).transform(pairs)
    np.testing.assert_array_equal(make(cls).fit(pairs, given[form]).transform(pairs), codes)


@both
def test_labels_matter(cls, pairs, y):
    assert make(cls).fit(pairs, y).loss_curve_ != make(cls).fit(pairs, y[::-1]).loss_curve_


@both
def test_labels_are_learned(cls, pairs, y):
    hasher = make(cls, n_bits=16, hidden_units=64, max_iter=40).fit(pairs, y)
    assert hasher.score(pairs, y) > 0.8


@both
@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "requires y to be passed, but the target y is None"),
        (np.zeros(30), "all 30 rows of y have the same labels"),
        (np.zeros((30, 4)), "all 30 rows of y have the same labels"),
        (np.arange(29), "labels of another length: got 29 rows of labels for 30 pairs"),
        (np.full(30, np.nan), r"y must not hold missing values .* in row 0"),
        (np.eye(30) - 1, "two-dimensional labels must be indicators, 0 or 1"),
        (np.arange(60).reshape(30, 2), "two-dimensional labels must be indicators, 0 or 1"),
        ([[0, 1], [1]] * 15, "MultiLabelBinarizer"),
    ],
)
def test_labels_that_say_nothing_are_refused(cls, given, message, pairs):
    with pytest.raises(ValueError, match=message):
        make(cls).fit(pairs, given)


@both
def test_a_missing_indicator_is_named_by_its_row(cls, pairs):
    y = np.eye(30)[:, :5]
    y[7, 3] = np.nan
    with pytest.raises(ValueError, match="got one in row 7"):
        make(cls).fit(pairs, y)


@both
def test_rows_without_any_label_are_trained_on(cls, pairs):
    y = np.zeros((30, 3))
    y[:10, 0] = y[10:20, 1] = 1
    assert np.isfinite(make(cls).fit(pairs, y).loss_curve_["total"]).all()


@both
def test_early_stopping_scores_held_out_pairs_by_their_labels(cls, pairs, y):
    hasher = make(cls, max_iter=8, early_stopping=True, validation_fraction=0.4)
    scores = hasher.fit(pairs, y).validation_scores_
    _, held = hold_out(Pairs(pairs[:, :6], pairs[:, 6:], labels=y), 0.4, 0)
    again = make(cls, max_iter=1, early_stopping=True, validation_fraction=0.4).fit(pairs, y)
    assert again.score(np.hstack(list(held.blocks.values())), held.labels) == pytest.approx(
        scores[0]
    )


@both
def test_validation_pairs_are_scored_by_their_labels_or_else_as_pairs(cls, pairs, y):
    train, X_val, y_val = pairs[:20], pairs[20:], y[20:]
    for given in (y_val, None):
        hasher = make(cls, max_iter=1).fit(train, y[:20], X_val=X_val, y_val=given)
        assert hasher.validation_scores_ == [pytest.approx(hasher.score(X_val, given))]
    with pytest.raises(ValueError, match="got 3 rows of labels for 10 pairs"):
        make(cls).fit(train, y[:20], X_val=X_val, y_val=y_val[:3])
    with pytest.raises(ValueError, match="y_val holds the labels of X_val, which is missing"):
        make(cls).fit(train, y[:20], y_val=y_val)


@both
def test_a_grid_search_scores_held_out_training_pairs_by_their_labels(cls, pairs, y):
    search = GridSearchCV(make(cls), {"n_bits": [1, 8]}, cv=2, error_score="raise").fit(pairs, y)
    fold = np.arange(30) % 2 == 0
    given = [(np.flatnonzero(~fold), np.flatnonzero(fold))]
    search = GridSearchCV(make(cls), {"n_bits": [8]}, cv=given, error_score="raise").fit(pairs, y)
    hasher = make(cls, n_bits=8).fit(pairs[~fold], y[~fold])
    assert search.best_score_ == pytest.approx(hasher.score(pairs[fold], y[fold]))


def test_dscmr_knows_its_classes(pairs, y):
    assert list(make(DSCMRHasher).fit(pairs, y).classes_) == ["bird", "cat", "dog"]
    indicators = np.eye(3)[np.unique(y, return_inverse=True)[1]]
    assert list(make(DSCMRHasher).fit(pairs, indicators).classes_) == [0, 1, 2]


def test_a_chunk_of_dscmr_may_lack_classes_that_were_named_before(pairs, y):
    hasher = make(DSCMRHasher).partial_fit(pairs[:5], y[:5], classes=["dog", "cat", "bird", "ant"])
    assert list(hasher.classes_) == ["ant", "bird", "cat", "dog"]
    assert hasher.partial_fit(pairs[5:6], y[5:6]).n_iter_ == 2
    with pytest.raises(ValueError, match="y has the class 'elk', which the first call did not"):
        hasher.partial_fit(pairs, np.where(y == "dog", "elk", y))
    with pytest.raises(ValueError, match="classes must be those of the first call"):
        hasher.partial_fit(pairs, y, classes=["dog", "cat"])
    with pytest.raises(ValueError, match="indicators of 2 labels, but there are 4 classes"):
        hasher.partial_fit(pairs, np.eye(30)[:, :2])


def test_a_first_chunk_of_one_class_needs_the_classes_of_dscmr(pairs, y):
    with pytest.raises(ValueError, match="the first chunk has only one class: give all of them"):
        make(DSCMRHasher).partial_fit(pairs, np.zeros(30))
    assert make(DCMHHasher).partial_fit(pairs, np.zeros(30)).n_iter_ == 1


@both
def test_a_code_for_each_class_is_no_collapse(cls, recwarn):
    rng = np.random.default_rng(0)
    y = np.arange(400) % 4
    X = np.eye(4)[y] @ rng.normal(size=(4, 10)) + 0.01 * rng.normal(size=(400, 10))
    hasher = make(cls, n_bits=16, max_iter=30, n_image_features=5, batch_size=50).fit(X, y)
    n_codes = len(np.unique(hasher.encode_image(X[:, :5]), axis=0))
    assert n_codes <= 8
    assert hasher.score(X, y) > 0.99
    assert not recwarn


def test_unsupervised_hashers_stand_apart_and_ignore_labels(pairs, y):
    from skhash import hashing

    assert not set(hashing.__all__) & set(supervised.__all__)
    codes = make(CFRHHasher).fit(pairs).transform(pairs)
    np.testing.assert_array_equal(make(CFRHHasher).fit(pairs, y).transform(pairs), codes)
