from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from matplotlib import rc_context
from matplotlib.colors import same_color
from PIL import Image
from sklearn.preprocessing import FunctionTransformer

from skhash import make_table
from skhash.metrics import RetrievalDisplay, _display_fonts
from skhash.metrics._display import BLUE, ORANGE
from skhash.metrics._display_fonts import Writing
from skhash.metrics._display_items import open_image

pytestmark = pytest.mark.usefixtures("pyplot")
WORDS = [f"text {row}" for row in range(8)]


def example(seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((6, 12)) < 0.5, rng.random((8, 12)) < 0.5


def pictures(n):
    return [Image.new("RGB", (8, 8), (20 * row, 0, 0)) for row in range(n)]


def draw(labels=([0, 1] * 3, [0, 1] * 4), **options):
    return RetrievalDisplay.from_codes(*example(), WORDS[:6], WORDS, *labels, **options)


def captions(display):
    return [[axis.get_xlabel() for axis in line] for line in display.axes_[:, 1:]]


def test_results_are_the_nearest_items_in_order():
    query, gallery = example()
    display = draw(n_queries=3, n_neighbors=4)
    distances = (query[:3, None] != gallery).sum(axis=2)
    rows = np.argsort(distances, axis=1, kind="stable")[:, :4]
    np.testing.assert_array_equal(display.distances, np.take_along_axis(distances, rows, axis=1))
    assert display.queries == WORDS[:3]
    assert display.results == [[WORDS[row] for row in line] for line in rows]
    assert display.axes_.shape == (3, 5)


def test_real_codes_are_compared_by_cosine():
    rng = np.random.default_rng(0)
    query, gallery = rng.normal(size=(2, 3)), rng.normal(size=(4, 3))
    display = RetrievalDisplay.from_codes(
        query, gallery, WORDS[:2], WORDS[:4], n_queries=2, n_neighbors=4, mark_relevant=False
    )
    unit = [vectors / np.linalg.norm(vectors, axis=1)[:, None] for vectors in (query, gallery)]
    np.testing.assert_allclose(display.distances, np.sort(1 - unit[0] @ unit[1].T), atol=1e-6)
    assert captions(display)[0][0] == f"distance {display.distances[0, 0]:.2f}"


@pytest.mark.parametrize("labels", ["classes", "indicators"])
def test_relevant_results_are_marked_by_frame_and_sign(labels):
    y_query, y_gallery = np.arange(6) % 3, np.arange(8) % 3
    held = (np.eye(70)[y] for y in (y_query, y_gallery)) if labels == "indicators" else None
    display = draw(held or (y_query, y_gallery), n_queries=2)
    expected = [
        [y_gallery[WORDS.index(word)] == y_query[query] for word in line]
        for query, line in enumerate(display.results)
    ]
    np.testing.assert_array_equal(display.relevant, expected)
    assert {True, False} <= set(display.relevant.flat)
    for place, axis in np.ndenumerate(display.axes_[:, 1:]):
        mark, colour = ("✓", BLUE) if display.relevant[place] else ("✗", ORANGE)
        assert axis.get_xlabel() == f"{mark} {display.distances[place]} bits"
        assert same_color(axis.spines["left"].get_edgecolor(), colour)


def test_without_labels_the_same_row_is_relevant():
    query, gallery = example()
    display = RetrievalDisplay.from_codes(
        query, gallery[:6], WORDS[:6], WORDS[:6], n_queries=6, n_neighbors=6
    )
    expected = np.array(display.results) == np.array(WORDS[:6])[:, None]
    np.testing.assert_array_equal(display.relevant, expected)


def test_unmarked_results_need_no_labels():
    display = draw((), mark_relevant=False, n_queries=1)
    assert display.relevant is None
    assert captions(display) == [[f"{distance} bits" for distance in display.distances[0]]]


def test_one_bit_is_singular():
    display = RetrievalDisplay(["a"], [["b", "c"]], np.array([[0, 1]])).plot()
    assert captions(display) == [["0 bits", "1 bit"]]


def test_images_are_drawn_and_texts_written():
    display = RetrievalDisplay.from_codes(
        *example(), pictures(6), WORDS, mark_relevant=False, n_queries=2, n_neighbors=3
    )
    for axes in display.axes_:
        assert [len(axis.images) for axis in axes] == [1, 0, 0, 0]
        assert [len(axis.texts) for axis in axes] == [0, 1, 1, 1]
    written = [axis.texts[0].get_text() for axis in display.axes_[0, 1:]]
    assert written == display.results[0]


def test_items_of_a_series_are_taken_by_position():
    items = pd.Series(WORDS, index=range(8, 0, -1))
    display = RetrievalDisplay.from_codes(*example(), WORDS[:6], items, mark_relevant=False)
    assert display.results == draw().results


def test_the_name_is_the_title():
    assert draw(name="words").figure_.get_suptitle() == "words"
    assert draw(name="words").plot(name="others").figure_.get_suptitle() == "others"


class Encoder:
    def transform(self, X):
        texts, half = [len(text) for text in X["text"]], np.arange(4)
        codes = np.array(texts)[:, None] > half
        return np.hstack([codes, codes])


@pytest.mark.parametrize("direction", ["text_to_image", "image_to_text"])
def test_an_estimator_shows_the_columns_of_its_table(direction):
    table = make_table(image=pictures(3), text=["", "a", "bb"])
    display = RetrievalDisplay.from_estimator(
        Encoder(), table, direction=direction, n_queries=2, n_neighbors=1
    )
    source, target = direction.split("_to_")
    assert display.queries == list(table[source][:2])
    assert display.results == [[item] for item in table[target][:2]]
    assert display.figure_.get_suptitle() == f"{source} → {target}"
    assert display.relevant.all()


def test_strings_of_the_image_column_are_paths(tmp_path):
    for row, picture in enumerate(pictures(3)):
        picture.save(tmp_path / f"{row}.png")
    paths = [str(tmp_path / f"{row}.png") for row in range(3)]
    table = make_table(image=paths, text=["", "a", "bb"])
    display = RetrievalDisplay.from_estimator(Encoder(), table, n_queries=3, n_neighbors=1)
    reds = [axis.images[0].get_array()[0, 0, 0] for axis in display.axes_[:, 1]]
    assert reds == [0, 20, 40]


@pytest.mark.parametrize(
    ("table", "got"),
    [(np.zeros((6, 8), dtype=bool), "got ndarray"), (pd.DataFrame(np.eye(4)), r"got \['0'")],
)
def test_a_table_without_raw_columns_is_told(table, got):
    with pytest.raises(ValueError, match=f"columns 'image' and 'text', {got}.*from_codes"):
        RetrievalDisplay.from_estimator(FunctionTransformer(), table.astype(bool))


@pytest.mark.parametrize("side", ["query", "gallery"])
def test_another_number_of_items_than_codes_is_told(side):
    items = {"query": WORDS[:6], "gallery": WORDS}
    n_codes = len(items[side])
    items[side] = items[side][:-1]
    with pytest.raises(ValueError, match=f"got {n_codes - 1} {side} items for {n_codes} codes"):
        RetrievalDisplay.from_codes(*example(), *items.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_queries": 0}, "n_queries must be at least 1, got 0"),
        ({"n_queries": 7}, "n_queries must be at most 6, got 7"),
        ({"n_neighbors": 0}, "n_neighbors must be at least 1, got 0"),
        ({"n_neighbors": 9}, "n_neighbors must be at most 8, got 9"),
    ],
)
def test_numbers_out_of_range_are_told(options, message):
    with pytest.raises(ValueError, match=message):
        draw(**options)


def test_an_unreadable_image_is_told(tmp_path):
    items = [tmp_path / "nothing.png"] * 8
    with pytest.raises(ValueError, match=r"cannot read an image \('.*nothing.png': .*No such file"):
        RetrievalDisplay.from_codes(*example(), WORDS[:6], items, mark_relevant=False)


def test_fewer_queries_and_items_than_are_shown_by_default_are_all_shown(pyplot):
    codes = np.eye(3, 8, dtype=bool)
    display = RetrievalDisplay.from_codes(codes, codes, list("abc"), list("abc"))
    assert np.shape(display.distances) == (3, 3)


def test_pictures_of_16_bits_are_scaled(tmp_path):
    ramp = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    path = tmp_path / "grey.png"
    Image.fromarray(ramp).save(path)
    for item in (path, Image.fromarray(ramp)):
        shown = np.asarray(open_image(item))[..., 0]
        np.testing.assert_array_equal(shown, (ramp / 257).round())


@pytest.fixture
def fonts(monkeypatch):
    """Fonts of some characters instead of the installed ones, by name."""

    def install(**fonts):
        monkeypatch.setattr(_display_fonts, "_installed", lambda: [(name, name) for name in fonts])
        characters = {name: frozenset(map(ord, held)) for name, held in fonts.items()}
        monkeypatch.setattr(_display_fonts, "_characters", lambda path: characters.get(path, ASCII))

    return install


ASCII = frozenset(range(32, 127)) | {ord("□")}


@pytest.mark.parametrize(
    ("fonts_there", "families"),
    [
        ({"odd": "狗", "all": "狗猫ह", "more": "狗猫ह!"}, ["all"]),
        ({"one": "狗", "two": "狗猫", "hindi": "ह"}, ["two", "hindi"]),
    ],
)
def test_missing_characters_are_taken_from_as_few_fonts_as_possible(fonts, fonts_there, families):
    fonts(**fonts_there)
    writing = Writing(["a 狗", "猫 \u200d\n", "ह"])
    assert writing.families[1:-1] == families
    assert not writing.absent
    assert writing.drawable("a 狗") == "a 狗"


def test_texts_that_the_font_has_are_left_alone(fonts):
    fonts(odd="狗")
    writing = Writing(["a dog", "two\nlines"])
    assert writing.families is None
    assert writing.drawable("a\u200ddog") == "a\u200ddog"


def test_one_warning_names_the_characters_that_no_font_has(fonts):
    fonts(some="狗")
    message = (
        r"no installed font has 3 of the characters \(CJK, Devanagari, emoji: ह猫🐕\), which are .*"
        r"install Noto Sans CJK \(package fonts-noto-cjk .*\) and Noto Sans of these scripts "
        r"\(fonts-noto-core\) and Symbola \(fonts-symbola\), or name .*rcParams\['font.family'\]"
    )
    with pytest.warns(UserWarning, match=message) as seen:
        writing = Writing(["狗猫 🐕 dog", "ह"])
    assert len(seen) == 1
    assert seen[0].filename == __file__
    assert writing.families[1:] == ["some", "DejaVu Sans"]
    assert writing.drawable("狗猫 🐕 dog") == "狗□ □ dog"


@pytest.mark.parametrize("text", ["两只狗在草地上", "二匹の犬", "두 마리 개", "🐕🦺"])
def test_a_figure_with_characters_of_no_font_has_one_warning(monkeypatch, text):
    monkeypatch.setattr(_display_fonts, "_installed", list)
    display = RetrievalDisplay([text], [["dog", text]], np.array([[0, 1]]), name=text)
    with pytest.warns(UserWarning, match="no installed font has") as seen:
        display.plot()
    display.figure_.savefig(BytesIO())
    assert [warning.filename for warning in seen] == [__file__]
    assert display.queries == [text]
    assert set(display.axes_[0, 0].texts[0].get_text()) <= {"□", "\n", " "}


def test_a_font_that_is_there_draws_what_the_chosen_one_lacks():
    with rc_context({"font.family": ["cmr10"], "axes.formatter.use_mathtext": True}):
        display = RetrievalDisplay(["собака"], [["кот"]], np.array([[0]])).plot()
        display.figure_.savefig(BytesIO())
    label = display.axes_[0, 0].texts[0]
    assert label.get_text() == "собака"
    assert len(label.get_fontfamily()) > 1


def test_placeholder_fonts_are_not_taken():
    assert not any(name.startswith("Last Resort") for name, _ in _display_fonts._installed())


def test_a_broken_font_has_no_characters(tmp_path):
    (tmp_path / "odd.ttf").write_bytes(b"odd")
    assert _display_fonts._characters(str(tmp_path / "odd.ttf")) == frozenset()


def test_a_family_that_is_not_installed_leaves_matplotlibs_own_font():
    with rc_context({"font.family": ["no such family"]}):
        assert Writing(["a dog on a beach"]).families is None


def test_only_joiners_of_emoji_are_left_out():
    with pytest.warns(UserWarning, match="no installed font has"):
        writing = Writing(["\U000f0000"])
    assert writing.drawable("\u0600\u200c\u200d") == "\u0600\u200c"


def test_a_title_may_be_any_value():
    display = RetrievalDisplay(["a dog"], [["a cat"]], np.array([[3]]), name=16).plot()
    assert display.figure_.get_suptitle() == "16"
