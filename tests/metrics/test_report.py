import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from skhash import make_table
from skhash.codes import convert_codes
from skhash.metrics import (
    average_precision,
    bootstrap_interval,
    hit_rate_at_k,
    mean_average_precision,
    precision_at_k,
    precision_within_radius,
    retrieval_report,
)

CROSS = ["image -> text", "text -> image"]
WITHIN = ["image -> image", "text -> text"]


def example(n=40, n_bits=16, n_classes=4, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(n_classes, size=n)
    centres = (rng.random((n_classes, n_bits)) < 0.5)[y]
    image, text = (centres ^ (rng.random((n, n_bits)) < 0.2) for _ in range(2))
    return image, text, y


@pytest.mark.parametrize("labels", ["classes", "indicators"])
def test_each_cell_is_the_metric_of_that_name(labels):
    image, text, y = example()
    y = y if labels == "classes" else np.eye(4, dtype=int)[y]
    data = text[:10], image[10:], y[:10], y[10:]
    report = retrieval_report(
        np.hstack([image, text])[:10], np.hstack([image, text])[10:], y[:10], y[10:], k=5
    )
    row = report.to_frame().loc["text -> image"]
    expected = {
        "mAP": mean_average_precision(*data),
        "mAP_worst": mean_average_precision(*data, ties="pessimistic"),
        "mAP_best": mean_average_precision(*data, ties="optimistic"),
        "mAP@5": mean_average_precision(*data, k=5),
        "P@5": precision_at_k(*data, k=5),
        "P@H<=2": precision_within_radius(*data),
        "R@1": hit_rate_at_k(*data, k=1),
        "R@5": hit_rate_at_k(*data, k=5),
        "R@10": hit_rate_at_k(*data, k=10),
        "n_queries": 10,
        "n_without_relevant": 0,
    }
    assert row[list(expected)].to_dict() == pytest.approx(expected)
    low, high = bootstrap_interval(average_precision(*data), random_state=0)
    assert row["mAP_low"] == pytest.approx(low, abs=0.02)
    assert row["mAP_high"] == pytest.approx(high, abs=0.02)


@pytest.mark.parametrize("labels", ["classes", "indicators", "none of its own"])
@pytest.mark.parametrize("form", ["bits", "packed", "real"])
def test_within_a_modality_a_query_does_not_find_itself(form, labels):
    image, text, y = example()
    if labels != "classes":
        y = np.eye(4, dtype=int)[y]
    if labels == "none of its own":
        y[3] = 0
    image, text = convert_codes(image, form), convert_codes(text, form)
    report = retrieval_report(np.hstack([image, text]), y=y, k=3).to_frame()
    for name, codes in zip(WITHIN, (image, text), strict=True):
        scores = []
        for row in range(40):
            others = np.arange(40) != row
            related = y[others] == y[row] if y.ndim == 1 else y[others] @ y[row] > 0
            alone = codes[[row]], codes[others], [True], related
            scores.append(
                [average_precision(*alone, k=k)[0] for k in (None, 3)]
                + [hit_rate_at_k(*alone, k=1)]
                if related.any()
                else [0, 0, 0]
            )
        expected = np.mean(scores, axis=0)
        np.testing.assert_allclose(report.loc[name, ["mAP", "mAP@3", "R@1"]].tolist(), expected)


def test_pairs_alone_leave_the_rows_within_a_modality_out():
    image, text, _ = example()
    codes = np.hstack([image, text])
    for gallery in (None, codes):
        frame = retrieval_report(codes, gallery).to_frame()
        assert frame.index.tolist() == [*CROSS, "random codes"]
    ids = retrieval_report(codes, y=np.arange(40)).to_frame()
    pd.testing.assert_frame_equal(ids, retrieval_report(codes).to_frame())


def test_one_pair_is_a_report():
    frame = retrieval_report(np.ones((1, 8), dtype=bool)).to_frame()
    assert frame.loc["image -> text", "mAP"] == 1


def test_tables_arrays_and_sparse_codes_agree():
    image, text, y = example()
    frames = [
        retrieval_report(codes, y=y).to_frame()
        for codes in (np.hstack([image, text]), make_table(image=image, text=text))
    ]
    pd.testing.assert_frame_equal(*frames)
    real = np.hstack([image, text]) - 0.5
    pd.testing.assert_frame_equal(
        retrieval_report(real, y=y).to_frame(),
        retrieval_report(sparse.csr_matrix(real), y=y).to_frame(),
    )


@pytest.mark.parametrize("form", ["bits", "packed", "signs", "real"])
def test_random_codes_score_about_the_base_rate(form):
    image, text, y = example(n=200)
    codes = np.hstack([convert_codes(half, form) for half in (image, text)])
    frame = retrieval_report(codes, y=y).to_frame()
    assert frame.loc["random codes", "mAP"] == pytest.approx(0.25, abs=0.03)
    assert (frame.loc[CROSS, "mAP"] > 0.5).all()


def test_a_seed_decides_the_random_row_and_the_intervals():
    image, text, y = example()
    codes = np.hstack([image, text])
    frames = [retrieval_report(codes, y=y, random_state=s).to_frame() for s in (0, 0, 1)]
    pd.testing.assert_frame_equal(frames[0], frames[1])
    assert frames[0].loc["random codes", "mAP"] != frames[2].loc["random codes", "mAP"]
    assert frames[0].loc["image -> text", "mAP_low"] != frames[2].loc["image -> text", "mAP_low"]
    fresh = retrieval_report(codes, y=y, random_state=None).to_frame()
    assert fresh.loc["image -> text", "mAP"] == frames[0].loc["image -> text", "mAP"]


def test_queries_without_relevant_items_are_counted_and_printed():
    image, text, _ = example()
    codes, y = np.hstack([image, text]), np.r_[np.zeros(37, dtype=int), 1, 2, 2]
    report = retrieval_report(codes, y=y)
    assert report.to_frame()["n_without_relevant"].tolist() == [0, 0, 1, 1, 0]
    assert "40, of which 0 have no relevant item and count 0 (within a modality 1)" in str(report)
    report = retrieval_report(codes[:20], codes[20:], y[20:], y[:20])
    assert report.to_frame()["n_without_relevant"].tolist() == [3] * 5
    assert "queries       20, of which 3 have no relevant item and count 0\n" in str(report)
    assert report.to_frame().dtypes["n_queries"] == np.int64


def test_it_prints_as_a_table_with_its_protocol():
    image, text, y = example()
    report = retrieval_report(np.hstack([image, text])[:, 4:28], y=y, k=5)
    lines = str(report).splitlines()
    head = "mAP  95% interval   tie bounds  mAP@5   P@5  P@H<=2   R@1   R@5  R@10"
    assert lines[0].split() == head.split()
    assert [line.split("  ")[0] for line in lines[2:8]] == [*CROSS, *WITHIN, "", "random codes"]
    assert len({len(line) for line in [*lines[:6], lines[7]]}) == 1  # columns are aligned
    assert max(map(len, lines)) <= 99
    score = report.to_frame().loc["image -> text", "mAP"]
    assert lines[2].split()[3] == f"{score:.3f}"[1:]
    protocol = dict(line.split("  ", 1) for line in lines[9:])
    assert protocol["queries"].strip() == "40, all with a relevant item"
    assert protocol["codes"].strip() == (
        "12 bits, ranked by Hamming distance; 24 columns split in the middle"
    )
    assert "stops at rank 5, divided by the number of relevant items" in protocol["mAP@5"]


@pytest.mark.parametrize(
    ("normalize", "text"),
    [
        ("possible", "stops at rank 5000, divided by 5000 or the number of relevant items"),
        ("relevant", "stops at relevant item number 5000"),
    ],
)
def test_the_definition_is_printed_within_a_line(normalize, text):
    image, texts, y = example()
    report = retrieval_report(np.hstack([image, texts]), y=y, k=5000, normalize=normalize)
    assert text in str(report)
    assert max(map(len, str(report).splitlines())) <= 99


def test_real_embeddings_have_no_radius():
    image, text, y = example()
    report = retrieval_report(np.hstack([image, text]) - np.float32(0.5), y=y)
    assert report.to_frame()["P@H<=2"].isna().all()
    assert "16 real values, ranked by cosine similarity" in str(report)
    assert "Hamming" not in str(report)


def test_it_shows_as_an_html_table():
    image, text, y = example()
    page = retrieval_report(np.hstack([image, text]), y=y)._repr_html_()
    assert page.count("<tr>") == 6
    assert "<th>image → text</th>" in page
    assert "P@H&lt;=2" in page


pairs = np.ones((3, 16), dtype=bool)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((pairs[:, :15],), {}, ValueError, "paired codes of 15 columns cannot be split"),
        ((pairs[0],), {}, ValueError, "codes must have two dimensions .*got 1"),
        ((pairs[:0],), {}, ValueError, "the codes are empty"),
        ((pairs, pairs[:2]), {}, ValueError, "needs equal lengths, got 3 queries and 2"),
        ((pairs, pairs[:, :14]), {}, ValueError, "have 8 columns, the gallery codes 7"),
        ((pairs, 3 * pairs.view(np.uint8)), {}, TypeError, "are bits, the gallery codes packed"),
        ((np.full((2, 4), np.nan),), {}, ValueError, "real codes must be finite"),
        ((pairs,), {"y_gallery": [1, 2, 3]}, ValueError, "y_gallery is given without a gallery"),
        ((pairs, pairs), {"y": [1, 2, 3]}, ValueError, "labels are given on one side only"),
        ((pairs,), {"y": [1, 2]}, ValueError, "labels of another length: got 2 rows"),
        ((pairs, pairs, [1] * 3, [2] * 3), {}, ValueError, "no query has a relevant item"),
        ((pairs,), {"k": 0}, ValueError, "k must be at least 1, got 0"),
        ((pairs,), {"k": [5]}, TypeError, "k must be an integer"),
        ((pairs,), {"normalize": "trec"}, ValueError, "normalize must be one of 'hits'"),
        ((pairs,), {"n_resamples": 0}, ValueError, "n_resamples must be at least 1, got 0"),
    ],
)
def test_bad_input_is_named(arguments, options, error, message):
    with pytest.raises(error, match=message):
        retrieval_report(*arguments, **options)
