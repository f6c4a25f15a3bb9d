import json
import os

import numpy as np
import pytest

from skhash.datasets import load_coco_captions, load_flickr_captions, load_karpathy

COCO = {
    "images": [{"id": i, "file_name": f"{i}.jpg", "license": 1} for i in (9, 4, 5)],
    "annotations": [
        {"id": 1, "image_id": 4, "caption": "two dogs"},
        {"id": 2, "image_id": 9, "caption": "a cat "},
        {"id": 3, "image_id": 4, "caption": "dogs"},
        {"id": 4, "image_id": 5, "caption": "a table"},
    ],
}
INSTANCES = {
    "images": COCO["images"],
    "categories": [{"id": 18, "name": "dog"}, {"id": 17, "name": "cat"}, {"id": 90, "name": "cup"}],
    "annotations": [
        {"id": 1, "image_id": 4, "category_id": 18, "bbox": [1, 2, 3, 4]},
        {"id": 2, "image_id": 4, "category_id": 18, "bbox": [2, 2, 3, 4]},
        {"id": 3, "image_id": 9, "category_id": 17, "bbox": [1, 2, 3, 4]},
        {"id": 4, "image_id": 9, "category_id": 90, "bbox": [1, 2, 3, 4]},
    ],
}
FLICKR = {
    "results.csv": "image_name| comment_number| comment\n"
    "4.jpg| 0| Two dogs | one bone .\n4.jpg| 1   Dogs .\n9.jpg| 0| A cat, \"Tom\" .\n",
    "Flickr8k.token.txt": "4.jpg#0\tTwo dogs | one bone .\n4.jpg#1\tDogs .\n"
    '9.jpg#0\tA cat, "Tom" .\n',
    "captions.txt": "image,caption\n"
    '4.jpg,Two dogs | one bone .\n4.jpg,Dogs .\n9.jpg,"A cat, ""Tom"" ."\n',
}  # fmt: skip


def karpathy(number, split, *texts, **more):
    sentences = [{"tokens": text.split(), "raw": text, "imgid": number} for text in texts]
    return {"filename": f"{number}.jpg", "split": split, "sentences": sentences, **more}


KARPATHY = {
    "dataset": "coco",
    "images": [
        karpathy(4, "train", "two dogs", "dogs", filepath="train2014", cocoid=4),
        karpathy(9, "restval", "a cat", filepath="val2014", cocoid=9),
        karpathy(5, "test", "a table", filepath="val2014", cocoid=5),
    ],
}


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "photos"
    for name in ("4.jpg", "5.jpg", "9.jpg", "train2014/4.jpg", "val2014/9.jpg", "val2014/5.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


@pytest.fixture
def write(tmp_path):
    """Write a file, JSON unless it is a text, and return its path."""

    def write(name, content):
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


def images(bunch, folder):
    return [os.path.relpath(path, folder) for path in bunch.frame["image"]]


def test_coco_has_a_row_a_caption_in_the_order_of_the_file(folder, write):
    bunch = load_coco_captions(folder, write("captions.json", COCO))
    assert images(bunch, folder) == ["4.jpg", "9.jpg", "4.jpg", "5.jpg"]
    assert bunch.frame["text"].tolist() == ["two dogs", "a cat ", "dogs", "a table"]
    assert bunch.group.tolist() == [0, 1, 0, 2]
    assert "target" not in bunch
    assert bunch.DESCR.startswith("Captions in COCO's format\n====")


def test_coco_instances_are_classes_in_the_order_of_their_ids(folder, write):
    files = write("captions.json", COCO), write("instances.json", INSTANCES)
    bunch = load_coco_captions(folder, files[0], instances=files[1])
    assert bunch.target_names == ["cat", "dog", "cup"]
    assert bunch.target.tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0], [0, 0, 0]]
    assert bunch.target.dtype == np.uint8


def test_classes_of_dropped_pictures_are_dropped(folder, write):
    (folder / "4.jpg").unlink()
    files = write("captions.json", COCO), write("instances.json", INSTANCES)
    with pytest.warns(UserWarning, match="2 of 4 rows of") as seen:
        bunch = load_coco_captions(folder, files[0], instances=files[1], on_missing="drop")
    assert seen[0].filename == __file__
    assert bunch.target.tolist() == [[1, 0, 1], [0, 0, 0]]
    assert bunch.dropped == [os.path.join(folder, "4.jpg")]


def test_instances_of_other_pictures_raise(folder, write):
    other = INSTANCES | {"images": COCO["images"][:2]}
    files = write("captions.json", COCO), write("instances.json", other)
    message = r"instances\.json does not list 1 of the pictures .* first 5: give the instances of"
    with pytest.raises(ValueError, match=message):
        load_coco_captions(folder, files[0], instances=files[1])


@pytest.mark.parametrize("name", FLICKR)
def test_flickr_files_give_the_same_pairs(folder, write, name):
    bunch = load_flickr_captions(folder, write(name, FLICKR[name]))
    assert images(bunch, folder) == ["4.jpg", "4.jpg", "9.jpg"]
    assert bunch.frame["text"].tolist() == ["Two dogs | one bone .", "Dogs .", 'A cat, "Tom" .']
    assert bunch.group.tolist() == [0, 0, 1]


def test_flickr_lines_may_end_as_on_windows(folder, write):
    content = FLICKR["Flickr8k.token.txt"].replace("\n", "\r\n")
    bunch = load_flickr_captions(folder, write("token.txt", content))
    assert bunch.frame["text"][1] == "Dogs ."


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("results.csv", "9.jpg| 1| "),
        ("token.txt", "9.jpg#1\t"),
        ("token.txt", "9.jpg#1"),
        ("captions.txt", "9.jpg,"),
    ],
)
def test_blank_flickr_captions_are_missing(folder, write, name, line):
    path = write(name, next(text for key, text in FLICKR.items() if name in key) + line + "\n")
    with pytest.raises(ValueError, match=r"1 of 4 rows of .* have no caption; the first is row \d"):
        load_flickr_captions(folder, path)
    with pytest.warns(UserWarning, match="1 of 4 rows of .* have no caption and were dropped"):
        assert len(load_flickr_captions(folder, path, on_missing="drop").frame) == 3


def test_flickr8k_picture_that_was_never_there_can_be_dropped(folder, write):
    path = write("Flickr8k.token.txt", FLICKR["Flickr8k.token.txt"] + "4.jpg.1#0\tA man .\n")
    with pytest.raises(
        FileNotFoundError, match=r"4\.jpg\.1 in row 3 of .*Flickr8k\.token\.txt: correct"
    ):
        load_flickr_captions(folder, path)
    with pytest.warns(UserWarning, match="1 of . rows of"):
        assert len(load_flickr_captions(folder, path, on_missing="drop").frame) == 3


@pytest.mark.parametrize("line", ["4.jpg,a dog", "4.jpg#0 a dog", "4.jpg|a dog"])
def test_flickr_line_of_another_format_raises(folder, write, line):
    with pytest.raises(ValueError, match=r"row 1 of .*token\.txt is neither .* use load_image_ta"):
        load_flickr_captions(folder, write("token.txt", f"4.jpg#0\ta dog\n{line}\n"))


def test_a_flickr_table_with_a_third_field_raises(folder, write):
    with pytest.raises(ValueError, match=r"row 1 of .* nor two fields under 'image,caption'"):
        load_flickr_captions(folder, write("captions.txt", "image,caption\n4.jpg,a dog, a cat\n"))


def test_flickr_file_that_is_no_text_raises(folder, tmp_path):
    (tmp_path / "results.csv").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(ValueError, match=r"results\.csv is not UTF-8 text .*: convert it"):
        load_flickr_captions(folder, tmp_path / "results.csv")


@pytest.mark.parametrize(
    ("split", "names", "texts"),
    [
        ("train", ["train2014/4.jpg"] * 2, ["two dogs", "dogs"]),
        ("test", ["val2014/5.jpg"], ["a table"]),
        (["train", "restval"], ["train2014/4.jpg"] * 2 + ["val2014/9.jpg"], None),
    ],
)
def test_karpathy_split_has_its_rows(folder, write, split, names, texts):
    bunch = load_karpathy(folder, write("dataset_coco.json", KARPATHY), split=split)
    assert images(bunch, folder) == names
    assert bunch.frame["text"].tolist() == (texts or ["two dogs", "dogs", "a cat"])


def test_karpathy_splits_share_no_picture(folder, write):
    path = write("dataset_coco.json", KARPATHY)
    splits = [set(images(load_karpathy(folder, path, split=s), folder)) for s in ("train", "test")]
    assert splits[0].isdisjoint(splits[1])


def test_karpathy_without_folders_is_that_of_flickr(folder, write):
    path = write("dataset_flickr8k.json", {"images": [karpathy(4, "train", "two dogs")]})
    assert images(load_karpathy(folder, path), folder) == ["4.jpg"]


@pytest.mark.parametrize("sentences", [[], [{"raw": None}], [{"raw": " "}]])
def test_karpathy_picture_without_a_caption_is_not_left_out_silently(folder, write, sentences):
    bare = karpathy(5, "train") | {"sentences": sentences}
    path = write("dataset.json", {"images": [karpathy(4, "train", "two dogs"), bare]})
    with pytest.raises(ValueError, match=r"1 of 2 rows of .* have no caption; the first is row 1"):
        load_karpathy(folder, path)
    with pytest.warns(UserWarning, match="1 of 2 rows of .* have no caption and were dropped"):
        bunch = load_karpathy(folder, path, on_missing="drop")
    assert bunch.row.tolist() == [0]


@pytest.mark.parametrize("split", ["valid", ["train", "valid"], [], None])
def test_unknown_karpathy_split_raises_and_lists_them(folder, write, split):
    with pytest.raises(ValueError, match=r"has the splits 'train', 'restval', 'test', got split="):
        load_karpathy(folder, write("dataset.json", KARPATHY), split=split)


@pytest.mark.parametrize("load", [load_coco_captions, load_karpathy])
@pytest.mark.parametrize("content", [[], {"images": 3}, {"images": [{}]}, {"annotations": []}])
def test_other_json_raises_and_names_the_file(folder, write, load, content):
    with pytest.raises(ValueError, match=r"file\.json is not in the format of .*: give the"):
        load(folder, write("file.json", content))


@pytest.mark.parametrize("load", [load_coco_captions, load_karpathy])
def test_no_json_raises_and_names_the_file(folder, write, load):
    with pytest.raises(ValueError, match=r"file\.json is not valid JSON .*: give a complete file"):
        load(folder, write("file.json", '{"images": ['))


def test_caption_of_an_unknown_picture_raises(folder, write):
    content = COCO | {"images": COCO["images"][:1]}
    message = r"captions\.json has 3 annotations whose image_id it does not list, first 4: list it"
    with pytest.raises(ValueError, match=message):
        load_coco_captions(folder, write("captions.json", content))


def test_one_id_of_two_pictures_raises(folder, write):
    content = COCO | {"images": [*COCO["images"], {"id": 4, "file_name": "5.jpg"}]}
    message = r"captions\.json has the id 4 twice, for '4\.jpg' and for '5\.jpg': give each its own"
    with pytest.raises(ValueError, match=message):
        load_coco_captions(folder, write("captions.json", content))


def test_a_picture_that_is_listed_twice_alike_is_one(folder, write):
    content = COCO | {"images": COCO["images"] * 2}
    bunch = load_coco_captions(folder, write("captions.json", content))
    assert bunch.group.tolist() == [0, 1, 0, 2]


@pytest.mark.parametrize(
    ("part", "extra", "message"),
    [
        ("annotations", {"image_id": 8, "category_id": 18}, "1 annotations whose image_id .* 8: l"),
        (
            "annotations",
            {"image_id": 4, "category_id": 8},
            "1 annotations whose category_id .* 8: ",
        ),
        ("categories", {"id": 18, "name": "wolf"}, "the id 18 twice, for 'dog' and for 'wolf'"),
        ("images", {"id": 4, "file_name": "5.jpg"}, r"the id 4 twice, for '4\.jpg' and for '5\.j"),
    ],
)
def test_instances_that_contradict_themselves_raise(folder, write, part, extra, message):
    files = write("captions.json", COCO), write("i.json", INSTANCES)
    write("i.json", INSTANCES | {part: [*INSTANCES[part], extra]})
    with pytest.raises(ValueError, match=rf"i\.json has {message}"):
        load_coco_captions(folder, files[0], instances=files[1])


def test_instances_with_other_names_for_the_ids_raise(folder, write):
    images = [{"id": i, "file_name": f"{j}.jpg"} for i, j in [(9, 9), (4, 5), (5, 4)]]
    files = write("captions.json", COCO), write("i.json", INSTANCES | {"images": images})
    with pytest.raises(
        ValueError, match=r"i\.json names the file of image 4 '5\.jpg', the captions"
    ):
        load_coco_captions(folder, files[0], instances=files[1])


def test_ids_of_several_types_are_told(folder, write):
    other = INSTANCES | {"images": [], "annotations": []}
    images = [*COCO["images"], {"id": "x", "file_name": "4.jpg"}]
    annotations = [*COCO["annotations"], {"image_id": "x", "caption": "dogs"}]
    files = (
        write("captions.json", {"images": images, "annotations": annotations}),
        write("instances.json", other),
    )
    with pytest.raises(ValueError, match="does not list 4 of the pictures that have captions"):
        load_coco_captions(folder, files[0], instances=files[1])


@pytest.mark.parametrize("other", ["4.jpg", "./4.jpg", "x/../4.jpg"])
def test_a_picture_in_two_karpathy_splits_raises(folder, write, other):
    images = [karpathy(4, "train", "two dogs"), karpathy(4, "test", "dogs") | {"filename": other}]
    with pytest.raises(ValueError, match=r"'4\.jpg' in the splits 'train' and 'test': keep one"):
        load_karpathy(folder, write("dataset.json", {"images": images}))


@pytest.mark.parametrize("name", FLICKR)
def test_a_flickr_caption_may_be_of_any_length(folder, write, name):
    long = FLICKR[name].replace("Dogs .", "dogs " * 100_000 + ".")
    bunch = load_flickr_captions(folder, write(name, long))
    assert bunch.frame["text"][1] == "dogs " * 100_000 + "."


def test_a_flickr_caption_of_several_lines_is_one(folder, write):
    path = write("captions.txt", 'image,caption\n4.jpg,"two\ndogs"\n9.jpg,a cat\n')
    assert load_flickr_captions(folder, path).frame["text"].tolist() == ["two\ndogs", "a cat"]


def test_a_quote_that_is_not_closed_raises(folder, write):
    path = write("captions.txt", 'image,caption\n4.jpg,"two dogs\n9.jpg,a cat\n')
    with pytest.raises(
        ValueError, match=r"captions\.txt is not a table .* a quote is not closed: c"
    ):
        load_flickr_captions(folder, path)


@pytest.mark.parametrize(
    "caption", [{"raw": "two dogs"}, ["two dogs"], None, "", 3, "a \ud83d dog"]
)
def test_a_caption_that_is_no_text_raises(folder, write, caption):
    coco = COCO | {"annotations": [{"image_id": 4, "caption": caption}]}
    splits = {"images": [karpathy(4, "train") | {"sentences": [{"raw": caption}]}]}
    for load, content in ((load_coco_captions, coco), (load_karpathy, splits)):
        with pytest.raises(
            ValueError, match=r"row 0 of .* has the caption .*, which|row 0, which holds"
        ):
            load(folder, write("file.json", content))


def test_path_out_of_the_folder_raises(folder, write):
    content = {"images": [karpathy(4, "train", "two dogs", filepath="../../etc")]}
    with pytest.raises(ValueError, match="row 0 of .* names '../../etc/4.jpg', which leads out of"):  # noqa: RUF043
        load_karpathy(folder, write("dataset.json", content))
