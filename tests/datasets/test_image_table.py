import csv
import io
import json
import os
import sys
import unicodedata

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skhash.datasets import load_image_table
from skhash.datasets._separated import records

NAMES = ["b.jpg", "sub/a.jpg", "b.jpg"]
TEXTS = ["two dogs", 'a "cat", None', "NA"]
GROUPS = [0, 1, 0]


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for name in set(NAMES):
        (folder / name).touch()
    (tmp_path / "secret.txt").touch()
    return folder


def table(**columns):
    return pd.DataFrame({"image": NAMES, "text": TEXTS} | columns)


def write(path, table):
    writers = {
        ".csv": lambda: table.to_csv(path, index=False),
        ".tsv": lambda: table.to_csv(path, index=False, sep="\t"),
        ".json": lambda: table.to_json(path, orient="records"),
        ".jsonl": lambda: table.to_json(path, orient="records", lines=True),
        ".parquet": lambda: table.to_parquet(path, engine="pyarrow"),
    }
    writers[path.suffix]()
    return path


def check_pairs(bunch, folder):
    assert list(bunch.frame.columns) == ["image", "text"]
    assert bunch.frame["image"].tolist() == [os.path.join(folder, name) for name in NAMES]
    assert bunch.frame["text"].tolist() == TEXTS
    assert bunch.group.tolist() == GROUPS
    assert bunch.group.dtype == np.int64
    assert bunch.dropped == []


@pytest.mark.parametrize("kind", [".csv", ".tsv", ".json", ".jsonl", ".parquet"])
def test_every_kind_of_file_gives_the_same_pairs(folder, tmp_path, kind):
    check_pairs(load_image_table(folder, write(tmp_path / f"captions{kind}", table())), folder)


@pytest.mark.parametrize("library", [pd.DataFrame, pl.DataFrame])
def test_dataframe_is_taken_as_it_is(folder, library):
    check_pairs(load_image_table(folder, library({"image": NAMES, "text": TEXTS})), folder)


def test_json_may_be_an_object_of_columns(folder, tmp_path):
    path = tmp_path / "captions.json"
    path.write_text(json.dumps({"image": NAMES, "text": TEXTS}))
    check_pairs(load_image_table(str(folder), str(path)), folder)


@pytest.mark.parametrize("kind", [".json", ".jsonl", ".parquet"])
def test_list_of_captions_becomes_one_row_each(folder, tmp_path, kind):
    lists = pd.DataFrame({"image": NAMES[:2], "text": [["x", "y"], ["z"]]})
    bunch = load_image_table(folder, write(tmp_path / f"captions{kind}", lists))
    assert bunch.frame["text"].tolist() == ["x", "y", "z"]
    assert bunch.group.tolist() == [0, 0, 1]


@pytest.mark.parametrize("image", ["image", "FileName", "file_name", " path", "filepath"])
@pytest.mark.parametrize("text", ["caption", "Text", "sentence"])
def test_columns_are_guessed_from_their_names(folder, image, text):
    other = pd.DataFrame({"id": [1, 2, 3], text: TEXTS, image: NAMES})
    check_pairs(load_image_table(folder, other), folder)


def test_columns_can_be_named(folder):
    other = table(image=["?"] * 3, pic=NAMES, de=TEXTS)
    check_pairs(load_image_table(folder, other, image_column="pic", text_column="de"), folder)


@pytest.mark.parametrize(
    ("columns", "parameter", "matches"),
    [
        (["id", "text"], "image_column", "no column matches"),
        (["image", "text", "caption"], "text_column", "'text', 'caption' match"),
    ],
)
def test_columns_that_cannot_be_told_raise(folder, columns, parameter, matches):
    message = (
        f"{parameter} cannot be inferred from .*, {matches}: set it to one of '{columns[0]}', "
    )
    with pytest.raises(ValueError, match=message):
        load_image_table(folder, pd.DataFrame({name: NAMES for name in columns}))


def test_unknown_column_raises_and_lists_the_columns(folder):
    with pytest.raises(ValueError, match="no column 'de': set text_column to one of 'image', 'te"):
        load_image_table(folder, table(), text_column="de")


def test_one_label_a_row_is_a_class(folder):
    bunch = load_image_table(folder, table(kind=["dog", "cat", "dog"]), label_column="kind")
    assert bunch.target.tolist() == [1, 0, 1]
    assert bunch.target.dtype == np.int64
    assert bunch.target_names == ["cat", "dog"]


@pytest.mark.parametrize("kind", [".json", ".parquet"])
def test_list_of_labels_is_multilabel(folder, tmp_path, kind):
    labels = [["dog", "pet"], ["cat", "pet"], []]
    path = write(tmp_path / f"captions{kind}", table(tags=labels))
    bunch = load_image_table(folder, path, label_column="tags")
    assert bunch.target.tolist() == [[0, 1, 1], [1, 0, 1], [0, 0, 0]]
    assert bunch.target.dtype == np.uint8
    assert bunch.target_names == ["cat", "dog", "pet"]


def test_no_label_column_means_no_target(folder):
    assert "target" not in load_image_table(folder, table())


def test_empty_label_raises_and_names_the_row(folder, tmp_path):
    path = write(tmp_path / "captions.csv", table(kind=["dog", "", "dog"]))
    with pytest.raises(ValueError, match=r"row 1 of .*captions\.csv has the label '': give"):
        load_image_table(folder, path, label_column="kind")


def test_labels_of_several_types_raise_and_name_them(folder):
    labels = pd.Series(["dog", 3, "dog"], dtype=object)
    with pytest.raises(ValueError, match=r"the table cannot be sorted, .* int, str: give"):
        load_image_table(folder, table(kind=labels), label_column="kind")


def test_missing_picture_raises_and_names_row_and_path(folder):
    (folder / "sub" / "a.jpg").unlink()
    path = os.path.join(folder, "sub/a.jpg")
    with pytest.raises(
        FileNotFoundError, match=rf"1 of 2 pictures .* first {path} in row 1 of the"
    ):
        load_image_table(folder, table())


def test_missing_pictures_can_be_dropped_with_a_report(folder):
    (folder / "b.jpg").unlink()
    labelled = table(kind=["dog", "cat", "dog"])
    with pytest.warns(UserWarning, match=r"2 of 3 rows of .* dropped: .*b\.jpg\.$") as seen:
        bunch = load_image_table(folder, labelled, label_column="kind", on_missing="drop")
    assert seen[0].filename == __file__
    assert bunch.frame["text"].tolist() == TEXTS[1:2]
    assert bunch.group.tolist() == bunch.target.tolist() == [0]
    assert bunch.dropped == [os.path.join(folder, "b.jpg")]
    assert ":Dropped: 1 pictures" in bunch.DESCR


def test_nothing_left_raises(folder):
    for name in set(NAMES):
        (folder / name).unlink()
    with pytest.raises(ValueError, match="the table holds no pair of a caption and a picture in"):
        load_image_table(folder, table(), on_missing="drop")


def test_empty_table_raises(folder):
    with pytest.raises(ValueError, match="the table holds no pair"):
        load_image_table(folder, table()[:0])


@pytest.mark.parametrize("name", ["../secret.txt", "sub/../../secret.txt", "{outside}/secret.txt"])
@pytest.mark.parametrize("on_missing", ["raise", "drop"])
def test_picture_outside_the_folder_raises(folder, tmp_path, name, on_missing):
    name = name.format(outside=tmp_path)
    with pytest.raises(ValueError, match=r"row 2 of the table names .* which leads out of"):
        load_image_table(folder, table(image=[*NAMES[:2], name]), on_missing=on_missing)


def test_absolute_path_within_the_folder_is_taken(folder):
    absolute = [os.path.join(folder, name) for name in NAMES]
    check_pairs(load_image_table(folder, table(image=absolute)), folder)


@pytest.mark.parametrize("name", ["", " ", None, np.nan, pd.NA])
def test_missing_name_raises_and_names_the_row_or_is_dropped(folder, name):
    names = pd.Series([NAMES[0], name, NAMES[2]], dtype=object)
    with pytest.raises(
        ValueError, match="1 of 3 rows of the table have no picture; the first is row 1"
    ):
        load_image_table(folder, table(image=names))
    kinds = table(image=names, kind=["dog", "cat", "dog"])
    with pytest.warns(UserWarning, match="1 of 3 rows of the table have no picture and were drop"):
        bunch = load_image_table(folder, kinds, label_column="kind", on_missing="drop")
    assert bunch.row.tolist() == [0, 2]
    assert bunch.target.tolist() == [1, 1]
    assert bunch.dropped == []


@pytest.mark.parametrize("name", [3, "a\0b", ["b.jpg"], b""])
def test_name_that_is_none_raises_and_names_the_row(folder, name):
    names = pd.Series([NAMES[0], name, NAMES[2]], dtype=object)
    with pytest.raises(ValueError, match="row 1 of the table names the picture"):
        load_image_table(folder, table(image=names))


@pytest.mark.parametrize("text", [3, [["a"]]])
def test_caption_that_is_no_text_raises_and_names_the_row(folder, text):
    texts = pd.Series([TEXTS[0], text, TEXTS[2]], dtype=object)
    with pytest.raises(
        ValueError, match=r"row 1 of the table has the caption .* which is not a text"
    ):
        load_image_table(folder, table(text=texts))


@pytest.mark.parametrize("text", [None, np.nan, pd.NA, pd.NaT, [], (), np.array([]), [None]])
def test_missing_caption_raises_and_names_the_row(folder, text):
    texts = pd.Series([TEXTS[0], text, TEXTS[2]], dtype=object)
    with pytest.raises(
        ValueError, match="1 of 3 rows of the table have no caption; the first is row 1"
    ):
        load_image_table(folder, table(text=texts))
    with pytest.warns(UserWarning, match="1 of 3 rows of the table have no caption and were drop"):
        bunch = load_image_table(folder, table(text=texts), on_missing="drop")
    assert bunch.row.tolist() == [0, 2]


@pytest.mark.parametrize("kind", ["csv", "tsv"])
def test_a_header_with_a_column_twice_raises(folder, tmp_path, kind):
    path = tmp_path / f"captions.{kind}"
    separator = {"csv": ",", "tsv": "\t"}[kind]
    path.write_text("image,text,text,,\nb.jpg,x,y,,\n".replace(",", separator))
    with pytest.raises(ValueError, match="header has the column 'text' twice: rename one"):
        load_image_table(folder, path)
    path.write_text("image,text, ,,\nb.jpg,x,,,\n".replace(",", separator))
    assert load_image_table(folder, path).frame["text"].tolist() == ["x"]


@pytest.mark.parametrize("kind", ["csv", "tsv"])
@pytest.mark.parametrize("cell", ["b.jpg", "b.jpg,", 'b.jpg,""', "b.jpg,  ", 'b.jpg," \n"'])
def test_blank_cells_are_missing_captions(folder, tmp_path, kind, cell):
    path = tmp_path / f"captions.{kind}"
    lines = ["image,text", 'b.jpg,"a\nb"', "", cell]
    path.write_text("\n".join(lines).replace(",", {"csv": ",", "tsv": "\t"}[kind]))
    with pytest.raises(
        ValueError, match=r"1 of 2 rows of .* no caption; the first is row 1, which holds"
    ):
        load_image_table(folder, path)
    with pytest.warns(UserWarning, match="1 of 2 rows of .* have no caption and were dropped"):
        pairs = load_image_table(folder, path, on_missing="drop")
    assert pairs.frame["text"].tolist() == ["a\nb"]


@pytest.mark.parametrize("kind", [".csv", ".tsv", ".json", ".jsonl", ".parquet"])
def test_words_that_name_nothing_are_captions(folder, tmp_path, kind):
    words = ["NA", "N/A", "None", "nan", "NaN", "null", "NULL", "-", "0"]
    content = pd.DataFrame({"image": "b.jpg", "text": words})
    bunch = load_image_table(folder, write(tmp_path / f"captions{kind}", content))
    assert bunch.frame["text"].tolist() == words


@pytest.mark.parametrize("kind", [".json", ".jsonl", ".parquet"])
@pytest.mark.parametrize("text", [None, "", " \n"])
def test_blank_captions_of_other_files_are_missing(folder, tmp_path, kind, text):
    path = write(tmp_path / f"captions{kind}", table(text=["one", text, "three"]))
    with pytest.raises(ValueError, match=r"1 of 3 rows of .* have no caption; the first is row 1"):
        load_image_table(folder, path)


def test_a_table_in_memory_may_hold_the_empty_text(folder):
    texts = ["one", "", " "]
    for on_missing in ("raise", "drop"):
        bunch = load_image_table(folder, table(text=texts), on_missing=on_missing)
        assert bunch.frame["text"].tolist() == texts


def test_cells_that_are_not_asked_for_may_be_missing(folder, tmp_path):
    path = tmp_path / "captions.csv"
    path.write_text("image,text,source,kind\nb.jpg,x,there,dog\nb.jpg,y\n")
    assert load_image_table(folder, path).frame["text"].tolist() == ["x", "y"]
    with pytest.raises(ValueError, match="row 1 of .* has the label nan: give a class"):  # noqa: RUF043
        load_image_table(folder, path, label_column="kind")


@settings(max_examples=50)
@given(st.lists(st.lists(st.text('ab", \n'), min_size=2, max_size=3), min_size=1))
def test_records_are_those_of_the_csv_module(rows):
    file = io.StringIO(newline="")
    csv.writer(file).writerows(rows)
    assert list(records(file.getvalue())) == rows


@pytest.mark.parametrize("text", [{"raw": "two dogs"}, {"a", "b"}, [["a"]], [{"raw": "a"}], b"a"])
def test_a_caption_of_another_type_is_not_taken_apart(folder, text):
    texts = pd.Series([TEXTS[0], text, TEXTS[2]], dtype=object)
    with pytest.raises(
        ValueError, match=r"row 1 of the table has the caption .* which is not a text"
    ):
        load_image_table(folder, table(text=texts))


@pytest.mark.parametrize("label", [{"raw": "dog"}, {"dog"}, [["dog"]], ["dog", None]])
def test_a_label_of_another_type_raises(folder, label):
    labels = pd.Series(["dog", label, "dog"], dtype=object)
    with pytest.raises(ValueError, match="row 1 of the table has the label .*: give a class"):  # noqa: RUF043
        load_image_table(folder, table(kind=labels), label_column="kind")


def test_a_lone_surrogate_raises_and_names_the_row(folder, tmp_path):
    path = tmp_path / "captions.json"
    path.write_text(json.dumps([{"image": "b.jpg", "text": "a \ud83d dog"}]))
    with pytest.raises(ValueError, match=r"row 0 of .* has the caption 'a \\ud83d dog', which con"):
        load_image_table(folder, path)
    names = pd.Series(["b.jpg", "\ud83d.jpg", "b.jpg"], dtype=object)
    with pytest.raises(ValueError, match=r"row 1 of the table names the picture '\\ud83d\.jpg'"):
        load_image_table(folder, table(image=names))


@pytest.mark.parametrize("huge", [b"x" * 8_000_000, ["x" * 8_000_000]])
def test_messages_quote_no_megabytes(folder, huge):
    cells = pd.Series([huge] * 3, dtype=object)
    with pytest.raises(ValueError, match="row 0 of the table has the caption") as caught:
        load_image_table(
            folder, table(text=cells if isinstance(huge, bytes) else [{"a": huge}] * 3)
        )
    assert len(str(caught.value)) < 400


def test_cells_may_be_long(folder, tmp_path):
    texts = ["a" * 200_000, "b", "c"]
    path = write(tmp_path / "captions.csv", table(text=texts))
    assert load_image_table(folder, path).frame["text"].tolist() == texts


@pytest.mark.parametrize("kind", ["parquet", "pandas", "polars"])
def test_pictures_may_come_as_bytes_or_as_cells_of_arrow_files(folder, tmp_path, kind):
    cells = [
        {"bytes": b"B", "path": "x.png"},
        {"bytes": None, "path": "b.jpg"},
        {"bytes": b"B", "path": None},
        {"bytes": None, "path": "./b.jpg"},
    ]
    frame = pd.DataFrame({"image": cells, "text": list("abcd")})
    if kind == "parquet":
        captions = write(tmp_path / "captions.parquet", frame)
    else:
        captions = (
            frame if kind == "pandas" else pl.DataFrame({"image": cells, "text": list("abcd")})
        )
    bunch = load_image_table(folder, captions)
    path = os.path.join(folder, "b.jpg")
    assert bunch.frame["image"].tolist() == [b"B", path, b"B", path]
    assert bunch.group.tolist() == [0, 1, 0, 1]


def test_a_dict_of_neither_bytes_nor_path_raises(folder):
    cells = pd.Series([{"bytes": None, "path": None}, {"url": "x"}, {}], dtype=object)
    with pytest.raises(ValueError, match="no picture; the first is row 0, which holds None"):
        load_image_table(folder, table(image=cells))
    with pytest.raises(ValueError, match=r"row 0 of the table names the picture \{'url': 'x'\}"):
        load_image_table(folder, table(image=cells[[1, 2, 1]].reset_index(drop=True)))


SPELLINGS = ["b.jpg", "./b.jpg", "sub/../b.jpg", "sub//../b.jpg", "{folder}/b.jpg", "link.jpg"]


def test_all_spellings_of_a_path_are_one_picture(folder):
    (folder / "link.jpg").symlink_to("b.jpg")
    (folder / "self").symlink_to(folder)
    names = [name.format(folder=folder) for name in [*SPELLINGS, "self/b.jpg", "sub/a.jpg"]]
    bunch = load_image_table(folder, pd.DataFrame({"image": names, "text": names}))
    assert bunch.group.tolist() == [0] * 7 + [1]
    assert bunch.frame["image"].tolist()[:5] == [os.path.join(folder, "b.jpg")] * 5


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
def test_an_accent_may_be_written_in_two_ways(folder, on_disk):
    names = [unicodedata.normalize(form, "\xe9t\xe9.jpg") for form in ("NFC", "NFD")]
    path = folder / unicodedata.normalize(on_disk, "\xe9t\xe9.jpg")
    path.touch()
    bunch = load_image_table(folder, pd.DataFrame({"image": names, "text": names}))
    assert bunch.group.tolist() == [0, 0]
    assert bunch.frame["image"].tolist() == [str(path)] * 2


def test_missing_pictures_are_counted_by_picture_not_by_spelling(folder):
    frame = pd.DataFrame({"image": ["c.jpg", "./c.jpg", "b.jpg"], "text": TEXTS})
    with pytest.raises(FileNotFoundError, match="1 of 2 pictures are missing"):
        load_image_table(folder, frame)


@pytest.mark.parametrize("linked", ["file", "folder"])
def test_a_link_that_leads_out_of_the_folder_raises(folder, tmp_path, linked):
    target = tmp_path / "secret.txt" if linked == "file" else tmp_path
    (folder / "link").symlink_to(target)
    name = "link" if linked == "file" else "link/secret.txt"
    with pytest.raises(ValueError, match=rf"row 2 of the table names '{name}', which leads out of"):
        load_image_table(folder, table(image=[*NAMES[:2], name]))


def test_the_folder_itself_may_be_a_link(folder, tmp_path):
    (tmp_path / "album").symlink_to(folder)
    check_pairs(load_image_table(tmp_path / "album", table()), tmp_path / "album")


def test_missing_folder_and_file_raise(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere: name the folder"):
        load_image_table(tmp_path / "nowhere", table())
    with pytest.raises(FileNotFoundError, match=r"there is no file .*nowhere\.csv: check the path"):
        load_image_table(folder, tmp_path / "nowhere.csv")


def test_captions_that_are_no_path_raise(folder):
    with pytest.raises(TypeError, match="a path is needed, got 3"):
        load_image_table(folder, 3)


def test_unknown_kind_of_file_raises(folder, tmp_path):
    (tmp_path / "captions.xls").touch()
    with pytest.raises(ValueError, match=r"captions\.xls must end in one of \.csv, \.tsv, "):
        load_image_table(folder, tmp_path / "captions.xls")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.csv", b""),
        ("unquoted.csv", b"image,text\nb.jpg,a dog, running\n"),
        ("one.csv", b"image,text\nb.jpg,a dog\nb.jpg,a dog, running\n"),
        ("latin.csv", b"image,text\nb.jpg,\xe9t\xe9\n"),
        ("cut.json", b'[{"image": "b.jpg"'),
        ("deep.json", b"[" * 100_000),
        ("scalar.json", b'{"image": "b.jpg", "text": "a dog"}'),
        ("cut.jsonl", b'{"image": "b.jpg", "text": "a dog"}\n{"image"'),
        ("no.parquet", b"words"),
    ],
)
def test_broken_file_raises_and_names_it(folder, tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name} cannot be read as .*: correct it, or give a"):
        load_image_table(folder, tmp_path / name)


def test_byte_order_mark_is_no_part_of_a_name(folder, tmp_path):
    path = tmp_path / "captions.csv"
    path.write_text("image,text\nb.jpg,a dog\n", encoding="utf-8-sig")
    assert load_image_table(folder, path).frame["text"].tolist() == ["a dog"]


def test_parquet_without_pyarrow_names_the_extra(folder, tmp_path, monkeypatch):
    path = write(tmp_path / "captions.parquet", table())
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r'pip install "scikit-hash\[parquet\]"'):
        load_image_table(folder, path)


def test_unknown_option_raises(folder):
    with pytest.raises(ValueError, match="on_missing must be one of 'raise', 'drop', got 'skip'"):
        load_image_table(folder, table(), on_missing="skip")


def test_description_counts_pairs_and_pictures(folder):
    descr = load_image_table(folder, table()).DESCR
    assert ":Pairs: 3 of" in descr
    assert ":Pictures: 2;" in descr


@pytest.mark.parametrize("separator", [";", "\t"])
def test_csv_of_other_separators_and_more_columns_is_read(folder, tmp_path, separator):
    path = tmp_path / "captions.csv"
    lines = ["stars|image|text", "3|b.jpg|one, two", '4|sub/a.jpg|"a|b, c"']
    path.write_text("\n".join(lines).replace("|", separator))
    texts = load_image_table(folder, path).frame["text"].tolist()
    assert texts == ["one, two", f"a{separator}b, c"]


@pytest.mark.parametrize("from_file", [False, True])
def test_missing_captions_can_be_dropped_and_rows_stay_known(folder, tmp_path, from_file):
    texts = ["one", None, "three"]
    captions = table(text=texts, stars=[5, 4, 3])
    if from_file:
        captions.to_csv(tmp_path / "captions.csv", index=False)
    source = tmp_path / "captions.csv" if from_file else captions
    with pytest.warns(UserWarning, match=r"1 of 3 rows of .* have no caption and were dropped"):
        pairs = load_image_table(folder, source, label_column="stars", on_missing="drop")
    assert pairs.frame["text"].tolist() == ["one", "three"]
    assert captions["stars"].iloc[pairs.row].tolist() == [5, 3]
    assert pairs.target.tolist() == [2, 0]
    assert pairs.group.tolist() == [0, 0]


def test_rows_of_captions_in_lists_are_those_of_the_table(folder):
    texts = [["one", None, "two"], ["three"], ["four"]]
    with pytest.warns(UserWarning, match="1 of 5 rows"):
        pairs = load_image_table(folder, table(text=texts), on_missing="drop")
    assert pairs.row.tolist() == [0, 0, 1, 2]


def test_a_table_that_is_not_utf_8_can_be_read_by_pandas(folder):
    path = folder / "table.csv"
    path.write_bytes("image,text\nb.jpg,\xe9t\xe9\n".encode("cp1252"))
    with pytest.raises(
        ValueError, match=r"save it as UTF-8, .*pd\.read_csv\(\.\.\., encoding='cp1252'"
    ):
        load_image_table(folder, path)


@pytest.mark.parametrize("table", ["image;text, in English\nb.jpg;a\n", "image;a,b\nb.jpg;a,b,c\n"])
def test_semicolons_beside_a_comma_in_the_header_are_told(folder, table):
    path = folder / "table.csv"
    path.write_text(table)
    with pytest.raises(ValueError, match="the file seems to use semicolons"):
        load_image_table(folder, path)


def test_the_folder_comes_before_the_captions(folder):
    with pytest.raises(FileNotFoundError, match=r"is a folder, not a file: .* folder comes first"):
        load_image_table(folder / "b.jpg", folder)
