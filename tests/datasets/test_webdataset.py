import io
import json
import os
import tarfile

import numpy as np
import pytest
from PIL import Image

from skhash.datasets import load_webdataset
from skhash.features import PatchFeaturizer


@pytest.fixture
def write(tmp_path):
    """Write a shard of these members, plain or compressed, and return its path."""

    def write(members, name="0.tar", mode="w"):
        (tmp_path / "shards").mkdir(exist_ok=True)
        path = tmp_path / "shards" / name
        with tarfile.open(path, mode) as shard:
            for member, content in members.items():
                content = content if isinstance(content, bytes) else json.dumps(content).encode()
                info = tarfile.TarInfo(member)
                info.size = len(content)
                shard.addfile(info, io.BytesIO(content))
        return path

    return write


SAMPLES = {"b.jpg": b"B", "b.txt": b"two dogs", "a.PNG": b"A", "a.txt": "\xe9t\xe9".encode()}


def test_samples_are_pairs_in_the_order_of_the_shard(write):
    bunch = load_webdataset(write(SAMPLES))
    assert list(bunch.frame.columns) == ["image", "text"]
    assert bunch.frame["image"].tolist() == [b"B", b"A"]
    assert bunch.frame["text"].tolist() == ["two dogs", "\xe9t\xe9"]
    assert bunch.group.tolist() == [0, 1]
    assert bunch.group.dtype == np.int64
    assert bunch.key.tolist() == ["b", "a"]
    assert bunch.dropped == []
    assert ":Pairs: 2 of" in bunch.DESCR


def test_nothing_is_unpacked_to_the_disk(write, tmp_path):
    path = write(SAMPLES | {"../../c.jpg": b"C", "../../c.txt": b"out", "/d.jpg": b"D"})
    with pytest.warns(UserWarning, match="1 samples without"):
        load_webdataset(path, on_missing="drop")
    assert [file for _, _, files in os.walk(tmp_path) for file in files] == ["0.tar"]


@pytest.mark.parametrize("mode", ["w:gz", "w:xz"])
def test_shard_may_be_compressed(write, mode):
    assert len(load_webdataset(write(SAMPLES, mode=mode)).frame) == 2


def test_folder_and_list_hold_several_shards(write):
    paths = [write(SAMPLES, name) for name in ("1.tar", "0.tar")]
    write({}, "notes.txt")
    for shards in (paths, str(paths[0].parent)):
        bunch = load_webdataset(shards)
        assert bunch.group.tolist() == [0, 1, 2, 3]
        assert bunch.key.tolist() == ["b", "a", "b", "a"]


def test_samples_of_one_name_in_two_folders_differ(write):
    members = {f"{folder}/7.{kind}": b"x" for folder in "uv" for kind in ("jpg", "txt")}
    assert load_webdataset(write(members)).key.tolist() == ["u/7", "v/7"]


@pytest.mark.parametrize("field", ["caption", "text", "captions"])
def test_json_gives_the_caption(write, field):
    members = {"7.jpg": b"J", "7.json": {"url": "there", "width": 3, field: "two dogs"}}
    assert load_webdataset(write(members)).frame["text"].tolist() == ["two dogs"]


def test_several_captions_are_rows_of_one_picture(write):
    members = {"7.jpg": b"J", "7.json": {"cocoid": 7, "captions": ["two dogs", "dogs"]}}
    bunch = load_webdataset(write(members))
    assert bunch.frame["text"].tolist() == ["two dogs", "dogs"]
    assert bunch.frame["image"][0] is bunch.frame["image"][1]
    assert bunch.group.tolist() == [0, 0]


def test_text_goes_before_json_unless_a_field_is_named(write):
    path = write({"7.jpg": b"J", "7.txt": b"short", "7.json": {"caption": "x", "long": "longer"}})
    assert load_webdataset(path).frame["text"].tolist() == ["short"]
    assert load_webdataset(path, text_field="long").frame["text"].tolist() == ["longer"]


def test_other_members_are_passed_over(write):
    more = {"b.cls": b"3", "b.seg.png": b"S", "._b.jpg": b"M", "readme": b"R"}
    assert len(load_webdataset(write(SAMPLES | more)).frame) == 2


def test_labels_are_the_classes_of_the_pictures(write):
    several = {"7.jpg": b"J", "7.json": {"captions": ["two dogs", "dogs"]}, "7.cls": b" 10\n"}
    path = write(several | {"8.jpg": b"K", "8.txt": b"a cat", "8.CLS": b"9"})
    bunch = load_webdataset(path, labels=True)
    assert bunch.target.tolist() == [10, 10, 9]
    assert bunch.target.dtype == np.int64
    assert "target" not in load_webdataset(path)


def test_sample_without_a_class_raises_or_is_dropped(write):
    path = write(SAMPLES | {"a.cls": b"3"})
    message = r"sample b of .* has no class, got image, txt: set labels=False, or set on_missing"
    with pytest.raises(ValueError, match=message):
        load_webdataset(path, labels=True)
    with pytest.warns(UserWarning, match="1 samples without a picture, a caption or a class were"):
        bunch = load_webdataset(path, labels=True, on_missing="drop")
    assert (bunch.key.tolist(), bunch.target.tolist()) == (["a"], [3])
    assert bunch.dropped == [f"{path}: b"]


@pytest.mark.parametrize("content", [b"", b"dog", b"1.5", b"\xff", b"9" * 30])
def test_class_that_is_no_whole_number_raises_and_names_the_sample(write, content):
    path = write({"7.jpg": b"J", "7.txt": b"two dogs", "7.cls": content})
    with pytest.raises(ValueError, match=r"the cls of sample 7 of .*0\.tar is no whole number, g"):
        load_webdataset(path, labels=True)
    assert len(load_webdataset(path).frame) == 1


def test_link_is_not_followed(tmp_path):
    path = tmp_path / "0.tar"
    with tarfile.open(path, "w") as shard:
        link = tarfile.TarInfo("7.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        shard.addfile(link)
        text = tarfile.TarInfo("7.txt")
        shard.addfile(text)
    with pytest.raises(ValueError, match=r"sample 7 of .*0\.tar has no picture, got txt"):
        load_webdataset(path)


@pytest.mark.parametrize(
    ("lost", "message"),
    [("b.jpg", "sample b of .* has no picture, got txt"), ("a.txt", "a of .* has no caption, got")],
)
def test_incomplete_sample_raises_or_is_dropped(write, lost, message):
    path = write({name: content for name, content in SAMPLES.items() if name != lost})
    with pytest.raises(ValueError, match=f"{message}.*: name text_field, or set on_missing"):
        load_webdataset(path)
    with pytest.warns(UserWarning, match="1 samples without a picture or a caption were") as seen:
        bunch = load_webdataset(path, on_missing="drop")
    assert seen[0].filename == __file__
    assert bunch.dropped == [f"{path}: {lost[0]}"]
    assert bunch.group.tolist() == [0]


def test_second_picture_of_a_sample_raises(write):
    with pytest.raises(ValueError, match=r"its sample b has a second image, b\.png"):
        load_webdataset(write(SAMPLES | {"b.png": b"?"}))


@pytest.mark.parametrize(
    ("json_member", "message"),
    [
        (b'{"caption"', "the caption of sample 7 of .* cannot be read"),
        (["two dogs"], "the json of sample 7 of .* is no object, got"),
        ({"caption": 3}, r"the captions of sample 7 of .* are no texts, got \[3\]"),
        ({"caption": "a", "text": "b"}, "has several fields of captions: set text_field"),
    ],
)
def test_wrong_json_raises_and_names_the_sample(write, json_member, message):
    with pytest.raises(ValueError, match=message):
        load_webdataset(write({"7.jpg": b"J", "7.json": json_member}))


def test_text_in_another_encoding_raises(write):
    with pytest.raises(ValueError, match="the caption of sample 7 of .* cannot be read"):  # noqa: RUF043
        load_webdataset(write({"7.jpg": b"J", "7.txt": b"\xff"}))


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_truncated_shard_raises_and_names_it(write, mode):
    path = write({"7.jpg": os.urandom(5000), "7.txt": b"two dogs"}, mode=mode)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ValueError, match=r"the shard .*0\.tar cannot be read .*: replace it"):
        load_webdataset(path)


def test_shards_that_are_no_path_raise():
    with pytest.raises(TypeError, match="a path is needed, got 3"):
        load_webdataset(3)


def test_missing_shards_raise(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*nowhere\.tar"):
        load_webdataset(tmp_path / "nowhere.tar")
    with pytest.raises(FileNotFoundError, match=r"there is no \.tar in the folder"):
        load_webdataset(tmp_path)


@pytest.mark.parametrize("members", [{}, {"b.jpg": b"B"}])
def test_no_pair_raises(write, members):
    with pytest.raises(ValueError, match="holds no sample of a picture and a caption"):
        load_webdataset(write(members), on_missing="drop")


def test_unknown_option_raises(write):
    with pytest.raises(ValueError, match="on_missing must be one of 'raise', 'drop', got 'skip'"):
        load_webdataset(write(SAMPLES), on_missing="skip")


def test_featurizers_take_the_bytes_as_they_are(write):
    members = {}
    for i in range(4):
        picture = Image.effect_noise((16, 16), 50 + i).convert("RGB")
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        members |= {f"{i}.png": buffer.getvalue(), f"{i}.txt": b"noise"}
    frame = load_webdataset(write(members)).frame
    features = PatchFeaturizer(3, image_size=16, random_state=0).fit_transform(frame["image"])
    assert len(features) == 4
