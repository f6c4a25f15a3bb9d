import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from skhash._hamming import search as _search
from skhash.codes import convert_codes
from skhash.metrics import CodeDisplay, _display_code

pytestmark = pytest.mark.usefixtures("pyplot")


def example(n_bits=12, seed=0):
    rng = np.random.default_rng(seed)
    y_query, y_gallery = rng.integers(3, size=7), rng.integers(3, size=15)
    centres = rng.random((3, n_bits)) < 0.5
    query, gallery = (
        centres[y] ^ (rng.random((len(y), n_bits)) < 0.3) for y in (y_query, y_gallery)
    )
    return query, gallery, y_query, y_gallery


def healthy():
    return np.random.default_rng(0).random((2, 40, 12)) < 0.5


def all_pairs(query, gallery, y_query, y_gallery):
    distances = (query[:, None] != gallery).sum(axis=2)
    return distances, y_query[:, None] == y_gallery


def test_the_balance_is_the_share_of_ones():
    query, gallery, *_ = data = example()
    display = CodeDisplay.from_codes(*data)
    np.testing.assert_allclose(display.query_balance, query.mean(axis=0))
    np.testing.assert_allclose(display.gallery_balance, gallery.mean(axis=0))
    drawn = [line.get_ydata() for line in display.balance_]
    np.testing.assert_array_equal(drawn, [display.query_balance, display.gallery_balance])


def test_the_correlation_is_pearsons():
    data = example()
    display = CodeDisplay.from_codes(*data)
    np.testing.assert_allclose(display.correlation, np.corrcoef(data[1].T), atol=1e-12)
    np.testing.assert_array_equal(display.im_.get_array(), display.correlation)
    assert display.im_.get_clim() == (-1, 1)


def test_codes_are_counted_a_batch_at_a_time(monkeypatch):
    expected = CodeDisplay.from_codes(*example())
    monkeypatch.setattr(_display_code, "_ROWS", 4)
    monkeypatch.setattr(_display_code, "_BATCH", 2)
    found = CodeDisplay.from_codes(*example())
    np.testing.assert_allclose(found.correlation, expected.correlation, atol=1e-12)
    np.testing.assert_array_equal(found.related, expected.related)


@pytest.mark.parametrize("labels", ["classes", "indicators", "pairs"])
def test_the_histograms_count_all_pairs(labels):
    query, gallery, y_query, y_gallery = data = example()
    if labels == "indicators":
        data = query, gallery, np.eye(3)[y_query], np.eye(3)[y_gallery]
    if labels == "pairs":
        gallery, y_query, y_gallery = gallery[:7], np.arange(7), np.arange(7)
        data = query, gallery
    display = CodeDisplay.from_codes(*data)
    distances, related = all_pairs(query, gallery, y_query, y_gallery)
    for counts, chosen, patch in zip(
        (display.related, display.unrelated), (related, ~related), display.histograms_, strict=True
    ):
        expected = np.bincount(distances[chosen], minlength=13)
        np.testing.assert_array_equal(counts, expected)
        np.testing.assert_allclose(patch.get_data().values, expected / expected.sum())


def test_queries_are_searched_many_at_a_time(monkeypatch):
    batches = []
    original = _search.histograms
    monkeypatch.setattr(
        _search, "histograms", lambda q, *rest: (batches.append(q.shape[1]), original(q, *rest))[1]
    )
    CodeDisplay.from_codes(*example())
    assert batches == [7]


@pytest.mark.parametrize("seed", range(3))
def test_the_area_is_that_of_the_roc_curve_of_distances(seed):
    data = example(seed=seed)
    distances, related = all_pairs(*data)
    expected = roc_auc_score(related.ravel(), -distances.ravel())
    display = CodeDisplay.from_codes(*data)
    assert display.auc == pytest.approx(expected)
    assert display.axes_[2].get_title() == f"Distances: AUC {expected:.3f}"


def test_the_means_are_in_the_legend():
    data = example()
    distances, related = all_pairs(*data)
    legend = CodeDisplay.from_codes(*data).axes_[2].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == [
        f"related, mean {distances[related].mean():.1f}",
        f"unrelated, mean {distances[~related].mean():.1f}",
    ]


def test_constant_and_repeated_bits_are_counted_in_the_titles():
    query, gallery = healthy()
    gallery[:, 2] = True
    query[:, 4] = False
    gallery[:, 7] = gallery[:, 9] = ~gallery[:, 6]
    display = CodeDisplay.from_codes(query, gallery)
    assert display.axes_[0].get_title() == "Bit balance: 2 constant"
    assert display.axes_[1].get_title() == "Bit correlation: 2 repeated"
    assert np.isnan(display.correlation[2]).all()


def test_healthy_bits_have_their_mean_correlation_in_the_title():
    display = CodeDisplay.from_codes(*healthy())
    pairs = np.abs(display.correlation[~np.eye(12, dtype=bool)])
    assert display.axes_[0].get_title() == "Bit balance"
    assert display.axes_[1].get_title() == f"Bit correlation: mean |r| {pairs.mean():.2f}"


def test_pairs_of_one_kind_have_no_area():
    display = CodeDisplay.from_codes(np.ones((1, 4), dtype=bool), np.ones((1, 4), dtype=bool))
    assert np.isnan(display.auc)
    assert display.axes_[2].get_title() == "Distances"
    assert display.axes_[2].get_legend().get_texts()[1].get_text() == "no unrelated pair"


@pytest.mark.parametrize("form", ["packed", "signs"])
def test_the_format_of_the_codes_does_not_matter(form):
    query, gallery, *labels = example()
    expected = CodeDisplay.from_codes(query, gallery, *labels)
    codes = [convert_codes(c, form) for c in (query, gallery)]
    found = CodeDisplay.from_codes(*codes, *labels, n_bits=12)
    for name in ("query_balance", "gallery_balance", "correlation", "related", "unrelated"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_the_name_is_the_title():
    assert CodeDisplay.from_codes(*example(), name="codes").figure_.get_suptitle() == "codes"
    display = CodeDisplay.from_codes(*example(), name="codes").plot(name="others")
    assert display.figure_.get_suptitle() == "others"


def test_real_codes_are_refused():
    with pytest.raises(TypeError, match=r"convert_codes\(codes, 'bits'\)"):
        CodeDisplay.from_codes(np.eye(3) / 2, np.eye(3) / 2)


def test_packed_codes_of_another_length_are_told():
    codes = np.zeros((3, 2), dtype=np.uint8)
    with pytest.raises(ValueError, match="2 bytes hold 9 to 16 bits, got n_bits=7"):
        CodeDisplay.from_codes(codes, codes, n_bits=7)
