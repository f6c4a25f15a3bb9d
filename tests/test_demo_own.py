"""The saved model of the demo on own photographs: asked, added to, removed from."""

import os

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.utils import Bunch

from skhash import make_table, split_towers
from skhash.datasets import make_scenes
from skhash.demo import __main__ as command
from skhash.demo import data, own
from skhash.features import (
    BoWTextFeaturizer,
    CLIPFeaturizer,
    CrossModalFeaturizer,
    PatchFeaturizer,
)
from skhash.hashing import CCAHasher
from skhash.metrics._display_items import open_image
from skhash.retrieval import HammingRetriever

N_PHOTOGRAPHS = 24


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder of photographs, pairs with two captions of the first, and a fitted pipeline."""
    folder = tmp_path_factory.mktemp("photos")
    scenes = make_scenes(N_PHOTOGRAPHS, image_size=16, random_state=0).frame
    (folder / "trip").mkdir()
    names = [f"trip/{i}.png" if i % 2 else f"my {i}.png" for i in range(N_PHOTOGRAPHS)]
    for name, picture in zip(names, scenes["image"], strict=True):
        picture.save(folder / name)
    texts = [scenes["text"][0], "again " + scenes["text"][0], *scenes["text"][1:]]
    frame = make_table(image=[str(folder / name) for name in (names[0], *names)], text=texts)
    group = np.array([0, *range(N_PHOTOGRAPHS)])
    patches = PatchFeaturizer(n_patterns=8, random_state=0)
    featurizer = CrossModalFeaturizer(image=patches, text=BoWTextFeaturizer())
    pipeline = make_pipeline(featurizer, CCAHasher(16, random_state=0)).fit(frame)
    return folder, names, frame, group, pipeline


@pytest.fixture
def model(trained, tmp_path):
    """The path of a saved model, in the folder of a test."""
    folder, _, frame, group, pipeline = trained
    path = tmp_path / own.NAME
    pairs = Bunch(folder=folder, pairs=Bunch(frame=frame, group=group))
    codes = np.split(np.asarray(pipeline.transform(frame)), 2, axis=1)
    own.save_pairs(path, split_towers(pipeline), pairs, *codes)
    return path


def run(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["demo", *map(str, arguments)])
    command.main()


def test_all_photographs_are_in_the_index_once_and_their_names_are_ids(model, trained):
    _, names, frame, _, pipeline = trained
    saved = own.Model(model)
    assert saved.photographs.ids_.tolist() == names
    assert len(saved.captions) == N_PHOTOGRAPHS + 1
    assert saved.captions.ids_[:2].tolist() == ["my 0.png#0", "my 0.png#1"]
    found, _ = saved.find(frame["text"][1], N_PHOTOGRAPHS)
    assert sorted(found["id"]) == sorted(names)
    codes = split_towers(pipeline).image.transform(frame["image"][1:])
    expected = HammingRetriever(n_neighbors=3).fit(codes, ids=names)
    query = split_towers(pipeline).text.transform([frame["text"][5]])
    answer, _ = saved.find(frame["text"][5], 3)
    assert answer["id"].tolist() == expected.search(query)["id"].tolist()


def test_both_encoders_are_saved(model, trained):
    _, _, frame, _, pipeline = trained
    saved = joblib.load(model)
    for modality in ("image", "text"):
        expected = split_towers(pipeline)[modality].transform(frame[modality])
        np.testing.assert_array_equal(saved[modality].transform(frame[modality]), expected)


@pytest.mark.usefixtures("pyplot")
def test_a_question_is_answered_by_names_and_a_picture(model, trained, monkeypatch, capsys):
    folder, _, frame, _, _ = trained
    run(monkeypatch, "--output", model.parent, "--ask", frame["text"][3])
    printed = capsys.readouterr().out
    for line in own.Model(model).find(frame["text"][3])[0].itertuples():
        assert line.id in printed
        assert own.UNKNOWN not in printed
        assert f"{line.distance} bit" in printed
    assert str(folder) in printed
    assert (model.parent / "demo-own-answer.png").stat().st_size > 0


@pytest.mark.usefixtures("pyplot")
def test_a_question_without_a_known_word_is_noted(model, monkeypatch, capsys):
    run(monkeypatch, "--output", model.parent, "--ask", "xyzzy")
    printed = capsys.readouterr()
    assert own.UNKNOWN in printed.out
    assert "Warning" not in printed.err


@pytest.mark.usefixtures("pyplot")
def test_the_model_that_was_saved_last_is_asked(model, trained, monkeypatch, capsys):
    _, _, frame, _, pipeline = trained
    question = frame["text"][3]
    scenes = model.with_name("demo-scenes.joblib")
    text = split_towers(pipeline).text
    joblib.dump({"data": "scenes", "text": text}, scenes)
    index = HammingRetriever(n_neighbors=1).fit(text.transform([question]), ["a scene"])
    index.save(scenes.with_suffix(".index"))
    os.utime(model, (1, 1))
    run(monkeypatch, "--output", model.parent, "--ask", question)
    assert "a scene" in capsys.readouterr().out
    os.utime(scenes, (0, 0))
    run(monkeypatch, "--output", model.parent, "--ask", question)
    assert ".png" in capsys.readouterr().out


@pytest.mark.parametrize("asked", [["--ask", "x"], ["--add", "."], ["--remove", "a.jpg"]])
def test_where_no_model_is_a_message_says_what_to_run(tmp_path, monkeypatch, asked):
    with pytest.raises(SystemExit, match=r"there is no saved model.* run 'make demo"):
        run(monkeypatch, "--output", tmp_path, *asked)


def test_photographs_are_added_and_found_by_a_later_process(model, trained, tmp_path, capsys):
    folder, names, frame, _, pipeline = trained
    own.remove(model, names[:2])
    more = tmp_path / "more"
    more.mkdir()
    make_scenes(1, image_size=16, random_state=9).frame["image"][0].save(more / "new.png")
    (more / "notes.txt").touch()
    own.add(model, [str(more), str(folder)])
    assert f"3 photographs added; {N_PHOTOGRAPHS - 2} were already" in capsys.readouterr().out
    ids = own.Model(model).find(frame["text"][0], 100)[0]["id"].tolist()
    assert sorted(ids) == sorted([*names, (more / "new.png").as_posix()])
    codes = split_towers(pipeline).image.transform([str(more / "new.png")])
    nearest = own.Model(model).photographs.search(codes, 1)
    assert nearest["distance"].tolist() == [0]


def test_removed_photographs_are_not_found_nor_their_captions(model, trained):
    folder, names, frame, _, _ = trained
    own.remove(model, [names[0], str(folder / names[1])])
    saved = own.Model(model)
    assert not {*names[:2]} & {*saved.find(frame["text"][0], 100)[0]["id"]}
    assert len(saved.captions) == N_PHOTOGRAPHS - 2
    assert (folder / names[0]).is_file()


def test_an_index_without_photographs_is_asked_and_filled_again(model, trained, capsys):
    folder, names, frame, _, _ = trained
    own.remove(model, names)
    own.ask(model, frame["text"][0])
    assert "the index holds no photograph" in capsys.readouterr().out
    own.add(model, [str(folder)])
    assert len(own.Model(model).photographs) == N_PHOTOGRAPHS


def test_photographs_without_a_caption_are_added_unless_one_is_broken(
    model, trained, tmp_path, capsys
):
    folder, names, _, _, _ = trained
    own.remove(model, names[:3])
    own.add_others(model)
    assert "3 photographs of the folder without a caption" in capsys.readouterr().out
    assert len(own.Model(model).photographs) == N_PHOTOGRAPHS
    broken = folder / "broken.jpg"
    broken.write_bytes(b"no picture")
    try:
        own.add_others(model)
    finally:
        broken.unlink()
    assert "broken.jpg" in capsys.readouterr().out
    assert len(own.Model(model).photographs) == N_PHOTOGRAPHS


def test_a_picture_is_drawn_where_a_file_is_gone(model, trained, tmp_path, pyplot):
    own.add(model, [str(trained[0])])
    saved = own.Model(model)
    saved.folder = tmp_path / "moved"
    found, _ = saved.find(trained[2]["text"][0])
    own.draw(saved, "a text", found, tmp_path / "answer.png")
    assert (tmp_path / "answer.png").is_file()


def test_a_name_that_is_not_there_removes_nothing(model, monkeypatch):
    with pytest.raises(SystemExit, match=r"no photograph 'my 00.png'.*did you mean my 0.png"):
        run(monkeypatch, "--output", model.parent, "--remove", "my 2.png", "my 00.png")
    assert len(own.Model(model).photographs) == N_PHOTOGRAPHS


def test_a_file_to_add_that_is_not_there_is_named(model, monkeypatch):
    with pytest.raises(SystemExit, match="no file or folder nowhere to add"):
        run(monkeypatch, "--output", model.parent, "--add", "nowhere")


def test_a_folder_without_pictures_to_add_is_named(model, monkeypatch, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit, match=r"no picture to add in .*empty: check the path"):
        run(monkeypatch, "--output", model.parent, "--add", tmp_path / "empty")


@pytest.mark.parametrize("missing", ["images", "captions"])
def test_a_missing_path_is_noticed_before_anything_is_loaded(
    missing, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(command, "import_optional", None)
    (tmp_path / "captions.csv").touch()
    paths = {"images": tmp_path, "captions": tmp_path / "captions.csv"}
    paths[missing] = tmp_path / "nowhere"
    with pytest.raises(SystemExit):
        run(monkeypatch, "--images", paths["images"], "--captions", paths["captions"])
    assert f"{tmp_path / 'nowhere'}: check --{missing}" in capsys.readouterr().err


@pytest.mark.parametrize("header", ["Bild;caption", "image;Text 1"])
def test_unknown_columns_are_to_be_renamed(trained, tmp_path, monkeypatch, header):
    (tmp_path / "captions.csv").write_text(f"{header}\nmy 0.png;a disc\n")
    with pytest.raises(SystemExit, match=r"_column cannot be inferred.*\n.* rename the columns"):
        run(monkeypatch, "--images", trained[0], "--captions", tmp_path / "captions.csv")


def test_too_few_pictures_are_refused(trained, tmp_path):
    folder, names, frame, _, _ = trained
    table = tmp_path / "captions.csv"
    frame.iloc[1:].assign(image=names).to_csv(table, index=False)
    with pytest.raises(ValueError, match="captions of 24 pictures: give at least 40"):
        data.load_own(folder, table, tmp_path / "features")


def load_own(monkeypatch, folder, table):
    """Load pairs where CLIP has no weights."""

    def no_weights(*_):
        raise OSError

    monkeypatch.setattr(data, "FEWEST", N_PHOTOGRAPHS)
    monkeypatch.setattr(CLIPFeaturizer, "transform", no_weights)
    return data.load_own(folder, table, table.parent / "features")


@pytest.mark.parametrize("n_enough", [1000, 5])
def test_encoders_are_trained_where_there_are_enough_pairs(
    trained, tmp_path, monkeypatch, capsys, n_enough
):
    folder, names, frame, _, pipeline = trained
    table = tmp_path / "captions.csv"
    frame.iloc[1:].assign(image=names).to_csv(table, index=False)
    monkeypatch.setattr(data, "ENOUGH", n_enough)
    monkeypatch.setattr(
        data,
        "train_encoders",
        lambda *tables: (None, [pipeline[0].transform(t) for t in tables[:2]]),
    )
    own_pairs = load_own(monkeypatch, folder, table)
    assert own_pairs.shared_space == (n_enough == 5)
    assert ("encoders are trained" in capsys.readouterr().out) == (n_enough == 5)
    assert len(own_pairs.features) == N_PHOTOGRAPHS


def test_a_short_question_is_understood_after_few_pairs():
    scenes = make_scenes(240, random_state=0).frame
    featurizer, tables = data.count_words(scenes[:200], scenes[200:], np.arange(200) >= 160)
    assert [len(table) for table in tables] == [200, 40]
    model = make_pipeline(featurizer, CCAHasher(32, random_state=0).fit(tables[0]))
    towers = split_towers(model)
    index = HammingRetriever(n_neighbors=10).fit(
        towers.image.transform(scenes["image"]), scenes["text"].to_numpy()
    )
    found = index.search(towers.text.transform(["cross", "ring"]))
    words = np.repeat(["cross", "ring"], 10)
    hits = [word in text.split() for word, text in zip(words, found["label"], strict=True)]
    chance = np.mean([word in text.split() for text in scenes["text"] for word in set(words)])
    assert np.mean(hits) > 2 * chance


def test_the_photographs_are_drawn_not_their_paths(trained, tmp_path, monkeypatch, capsys):
    folder, names, frame, _, _ = trained
    table = tmp_path / "captions.csv"
    rows = frame.iloc[1:].assign(image=names)
    lacking = make_table(image=["gone.png", names[0]], text=["a red disc", ""])
    pd.concat([rows, lacking]).to_csv(table, index=False)
    own_pairs = load_own(monkeypatch, folder, table)
    printed = capsys.readouterr().out  # and no warning, which names a line of the demo
    assert f"1 of {N_PHOTOGRAPHS + 2} rows of {table} have no caption" in printed
    assert f"1 of {N_PHOTOGRAPHS + 1} rows of {table} have no picture" in printed
    for shown in (own_pairs.shown_test, own_pairs.shown_gallery):
        assert [open_image(path).size for path in shown["image"]] == [(16, 16)] * len(shown)
