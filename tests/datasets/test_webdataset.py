import gzip
import io
import json
import os
import tarfile

import numpy as np
import pytest
from PIL import Image

from skhash.datasets import _shards, load_webdataset
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
    with pytest.warns(UserWarning, match="1 of . samples lack"):
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
        assert bunch.group.tolist() == [0, 1, 0, 1]
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


def test_samples_with_the_same_picture_share_a_group(write):
    members = {"1.jpg": b"J", "1.txt": b"two dogs", "2.jpg": b"K", "2.txt": b"a cat"}
    bunch = load_webdataset(write(members | {"3.jpg": b"J", "3.txt": b"dogs"}))
    assert bunch.group.tolist() == [0, 1, 0]
    assert ":Pictures: 2;" in bunch.DESCR


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
    with pytest.warns(
        UserWarning, match="1 of 2 samples lack a picture, a caption or a class and were"
    ):
        bunch = load_webdataset(path, labels=True, on_missing="drop")
    assert (bunch.key.tolist(), bunch.target.tolist()) == (["a"], [3])
    assert bunch.dropped == [f"{path}: b"]


@pytest.mark.parametrize("content", [b"", b"dog", b"1.5", b"\xff", b"9" * 30])
def test_class_that_is_no_whole_number_raises_and_names_the_sample(write, content):
    path = write({"7.jpg": b"J", "7.txt": b"two dogs", "7.cls": content})
    with pytest.raises(ValueError, match=r"the cls of sample 7 of .*0\.tar is not an integer, g"):
        load_webdataset(path, labels=True)
    assert len(load_webdataset(path).frame) == 1


@pytest.mark.parametrize(
    "blank",
    [
        {"a.txt": b" \n"},
        {"a.json": {"captions": ["", "x"]}},
        {"a.json": {"captions": [None, "x"]}},
        {"a.json": {"captions": [None]}},
        {"a.json": {"caption": ""}},
    ],
)
def test_blank_captions_are_missing(write, blank):
    path = write({"b.jpg": b"B", "b.txt": b"NA", "a.jpg": b"A", **blank})
    with pytest.raises(
        ValueError, match=r"sample a of .* has no caption, got .*: write it, or set"
    ):
        load_webdataset(path)
    if "x" in str(blank.get("a.json")):
        with pytest.warns(UserWarning, match="1 blank captions of samples with other captions"):
            bunch = load_webdataset(path, on_missing="drop")
        assert bunch.frame["text"].tolist() == ["NA", "x"]
    else:
        with pytest.warns(UserWarning, match="1 of . samples lack a picture or a caption and were"):
            bunch = load_webdataset(path, on_missing="drop")
        assert bunch.frame["text"].tolist() == ["NA"]


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
    with pytest.warns(
        UserWarning, match="1 of . samples lack a picture or a caption and were"
    ) as seen:
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
        (b'{"caption"', "the caption of sample 7 of .* cannot be decoded"),
        (["two dogs"], "the json of sample 7 of .* is not an object, got"),
        ({"caption": 3}, r"the captions of sample 7 of .* are not texts, got \[3\]"),
        ({"caption": "a", "text": "b"}, "has several fields of captions: set text_field"),
    ],
)
def test_wrong_json_raises_and_names_the_sample(write, json_member, message):
    with pytest.raises(ValueError, match=message):
        load_webdataset(write({"7.jpg": b"J", "7.json": json_member}))


def test_text_in_another_encoding_raises(write):
    with pytest.raises(ValueError, match="the caption of sample 7 of .* cannot be decoded"):  # noqa: RUF043
        load_webdataset(write({"7.jpg": b"J", "7.txt": b"\xff"}))


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_truncated_shard_raises_and_names_it(write, mode):
    path = write({"7.jpg": os.urandom(5000), "7.txt": b"two dogs"}, mode=mode)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ValueError, match=r"the shard .*0\.tar cannot be read .*: replace it"):
        load_webdataset(path)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            {"22.05.jpg": b"J", "22.05.txt": b"T"},
            r"22\.05 .* has no picture, got 22\.05\.jpg, 22\.",
        ),
        ({"22.05.jpg": b"J"}, r"sample 22 of .* has no picture, got 22\.05\.jpg"),
        (
            {"photo.jpg": b"J", "photo.v2.txt": b"T"},
            r"photo of .* has no caption, got .*photo\.v2\.t",
        ),
        (
            {"u/2.1.jpg": b"J", "u/2.txt": b"T"},
            r"sample u/2 of .* has no picture, got txt, 2\.1\.jpg",
        ),
    ],
)
def test_a_second_dot_in_a_name_is_told(write, more, message):
    path = write(SAMPLES | more)
    with pytest.raises(ValueError, match=f"{message}.*: .* ends at its first dot, so rename"):
        load_webdataset(path)
    with pytest.warns(UserWarning, match="1 of . samples lack"):
        assert len(load_webdataset(path, on_missing="drop").frame) == 2


def test_a_pair_of_a_longer_name_beside_a_whole_sample_is_told(write):
    members = {"22.jpg": b"J", "22.txt": b"T", "22.05.jpg": b"K", "22.05.json": {"caption": "U"}}
    with pytest.raises(
        ValueError, match=r"sample 22\.05 of .* has no picture, got 22\.05\.jpg, 22"
    ):
        load_webdataset(write(members))


@pytest.mark.parametrize("name", ["5.mp3", "7.heic"])
def test_a_sample_of_other_kinds_only_is_told(write, name):
    with pytest.raises(ValueError, match=f"has no picture, got {name}"):
        load_webdataset(write(SAMPLES | {name: b"?"}))


def test_names_of_one_sample_may_be_spelt_in_several_ways(write):
    members = {"./u/\xe9.jpg": b"J", "u/e\u0301.txt": b"T"}
    assert load_webdataset(write(members)).key.tolist() == ["u/\xe9"]


def test_hard_link_is_told(tmp_path):
    (tmp_path / "1.jpg").write_bytes(b"J")
    os.link(tmp_path / "1.jpg", tmp_path / "2.jpg")
    (tmp_path / "2.txt").write_bytes(b"two")
    (tmp_path / "1.txt").write_bytes(b"one")
    path = tmp_path / "0.tar"
    with tarfile.open(path, "w") as shard:
        for name in ("1.jpg", "1.txt", "2.jpg", "2.txt"):
            shard.add(tmp_path / name, name)
    with pytest.raises(
        ValueError, match=r"2 of .* has no picture, got txt, 2\.jpg \(a link or dev"
    ):
        load_webdataset(path)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("block", [1, 4, 9, 17])
def test_a_flipped_bit_in_a_header_does_not_end_the_shard(write, mode, block):
    path = write({f"{i}.{kind}": b"x" for i in range(5) for kind in ("jpg", "txt")})
    content = bytearray(path.read_bytes())
    content[1024 * (block // 2) * 2 + 3] ^= 4
    path.write_bytes(gzip.compress(content) if mode == "w:gz" else content)
    with pytest.raises(ValueError, match=r"0\.tar cannot be read .*: replace it"):
        load_webdataset(path)


def test_a_shard_that_is_cut_between_two_members_raises(write):
    path = write(SAMPLES)
    path.write_bytes(path.read_bytes()[:2048])
    with pytest.raises(ValueError, match="no member and no end of the archive"):
        load_webdataset(path)


def test_what_follows_the_end_of_a_shard_is_told(write):
    path = write(SAMPLES)
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(ValueError, match="it goes on after its end"):
        load_webdataset(path)


def test_a_flipped_bit_in_a_checksum_of_gzip_is_told(write):
    path = write(SAMPLES, mode="w:gz")
    content = bytearray(path.read_bytes())
    content[-6] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="CRC"):
        load_webdataset(path)


@pytest.fixture
def bombs(tmp_path, monkeypatch):
    """Shards of 8 kB that hold 8 MB: a member, one not asked for, a header, a sparse file."""
    monkeypatch.setattr(_shards, "ALWAYS", 2**16)
    size = 2**23

    def member(name, **attributes):
        info = tarfile.TarInfo(name)
        for key, value in attributes.items():
            setattr(info, key, value)
        return info.tobuf(tarfile.GNU_FORMAT)

    headers = {
        "member": member("1.jpg", size=size),
        "other": member("1.npy", size=size),
        "header": member("1.jpg", size=size, type=tarfile.XHDTYPE),
    }
    paths = {}
    for name, header in headers.items():
        paths[name] = tmp_path / f"{name}.tar"
        paths[name].write_bytes(gzip.compress(header + bytes(size + 1024)))
    sparse = bytearray(member("1.jpg", size=512, type=tarfile.GNUTYPE_SPARSE))
    sparse[386:410] = b"00000000000\0" + b"00000001000\0"  # 512 bytes at 0 are there
    sparse[483:495] = f"{size:011o}\0".encode()
    sparse[148:156] = b" " * 8
    sparse[148:156] = f"{sum(sparse):06o}\0 ".encode()
    paths["sparse"] = tmp_path / "sparse.tar"
    paths["sparse"].write_bytes(sparse + b"x" * 512 + bytes(1024))
    return paths


@pytest.mark.parametrize("kind", ["member", "other", "header", "sparse"])
def test_a_shard_that_would_fill_the_memory_raises(bombs, kind):
    message = r"cannot be read .*it holds more than \d+ bytes, many .* or set max_expansion"
    with pytest.raises(ValueError, match=message):
        load_webdataset(bombs[kind])


def test_the_limit_of_a_shard_can_be_raised(bombs):
    with pytest.raises(ValueError, match=r"sample 1 of .* has no caption"):
        load_webdataset(bombs["sparse"], max_expansion=np.inf)


@pytest.mark.parametrize("limit", [0, -1, 0.5, np.nan])
def test_no_limit_below_the_size_of_the_file_is_taken(write, limit):
    with pytest.raises(ValueError, match=rf"max_expansion must be a number in .* got {limit}"):
        load_webdataset(write(SAMPLES), max_expansion=limit)


def test_one_shard_under_two_names_raises(write, tmp_path):
    path = write(SAMPLES)
    (tmp_path / "link.tar").symlink_to(path)
    for other in (tmp_path / "shards" / ".." / "shards" / "0.tar", tmp_path / "link.tar"):
        with pytest.raises(ValueError, match="are one shard: name it once"):
            load_webdataset([path, other])


def test_a_lone_surrogate_in_a_caption_raises(write):
    path = write({"7.jpg": b"J", "7.json": {"caption": "a \ud83d dog"}})
    with pytest.raises(ValueError, match=r"a caption of sample 7 of .* contains a lone surrogate"):
        load_webdataset(path)


def test_messages_quote_no_megabytes(write):
    for member in ({"7.cls": b"9" * 8_000_000}, {"7.json": ["x" * 8_000_000]}):
        path = write({"7.jpg": b"J", "7.txt": b"T"} | member)
        with pytest.raises(ValueError, match="sample 7") as caught:
            load_webdataset(
                path,
                labels="7.cls" in member,
                **{} if "7.cls" in member else {"text_field": "caption"},
            )
        assert len(str(caught.value)) < 600


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
