import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch

from skhash import _files
from skhash._torch.weights import to_numpy
from skhash.features import CLIPFeaturizer
from skhash.features._towers.folder import save_towers
from skhash.features._towers.sources import build_towers
from skhash.features._towers.strangers import read_document

pytestmark = pytest.mark.filterwarnings("ignore:.*contain no word that the text encoder knows")
CAPTIONS = ["a red dog", "two dogs and a red cat", "the cat", "dogs, dogs, dogs", "a red box"]
UNSEEN = ["", "an unseen dog", "RED CATS"]
SMALL = {
    "image_tower": "vit",
    "image_size": 16,
    "patch_size": 8,
    "width": 16,
    "heads": 2,
    "image_layers": 1,
    "text_layers": 1,
    "embed_dim": 8,
    "dropout": 0.1,
    "context_length": 64,
    "vocabulary_size": 8192,
}


@pytest.fixture
def towers():
    return build_towers("small", CAPTIONS, seed=4, small=SMALL)


@pytest.fixture
def folder(towers, tmp_path):
    save_towers(tmp_path / "saved", towers.config, to_numpy(towers.model))
    return tmp_path / "saved"


def encode(towers, pictures):
    texts = towers.read_texts(CAPTIONS + UNSEEN)
    return towers.encode_images(towers.read_images(pictures)), towers.encode_texts(texts)


def by_featurizer(folder, pictures):
    def encode(modality, items):
        name = f"local-dir:{folder}"
        featurizer = CLIPFeaturizer(name, modality=modality, local_files_only=True, device="cpu")
        return featurizer.transform(items)

    return encode("image", pictures), encode("text", CAPTIONS + UNSEEN)


def by_open_clip(open_clip, folder, pictures, **options):
    name = f"local-dir:{folder}"
    model, preprocess = open_clip.create_model_from_pretrained(name, **options)
    tokenizer = open_clip.get_tokenizer(name)
    with torch.no_grad():
        seen = torch.stack([preprocess(picture) for picture in pictures])
        image = model.eval().encode_image(seen, normalize=True)
        text = model.encode_text(tokenizer(CAPTIONS + UNSEEN), normalize=True)
    return image.numpy(), text.numpy()


def assert_same(vectors, expected):
    for one, other in zip(vectors, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("image_tower", ["vit", "resnet"])
def test_a_saved_folder_is_what_open_clip_and_the_featurizer_load(
    open_clip, pictures, tmp_path, image_tower
):
    small = {**SMALL, "image_tower": image_tower, "image_size": 32, "image_layers": 4}
    towers = build_towers("small", CAPTIONS, small=small)
    save_towers(tmp_path / "saved", towers.config, to_numpy(towers.model))
    expected = encode(towers, pictures)
    assert_same(by_featurizer(tmp_path / "saved", pictures), expected)
    assert_same(by_open_clip(open_clip, tmp_path / "saved", pictures), expected)


def test_a_folder_can_be_moved(open_clip, towers, folder, pictures, tmp_path):
    moved = folder.rename(tmp_path / "moved")
    expected = encode(towers, pictures)
    assert_same(by_featurizer(moved, pictures), expected)
    # open_clip itself must be told where the text tower is now.
    with pytest.raises(OSError, match="saved"):
        by_open_clip(open_clip, moved, pictures)
    text = json.loads((moved / "open_clip_config.json").read_text())["model_cfg"]["text_cfg"]
    text["hf_model_name"] = str(moved)
    assert_same(by_open_clip(open_clip, moved, pictures, text_cfg=text), expected)


def test_a_copy_does_not_look_at_the_original(towers, folder, pictures, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    other = build_towers("small", CAPTIONS, small={**SMALL, "width": 8})
    save_towers(folder, other.config, to_numpy(other.model))
    assert_same(by_featurizer(copy, pictures), encode(towers, pictures))


def test_training_goes_on_from_a_saved_folder(towers, folder, pictures, tmp_path):
    again = build_towers(f"local-dir:{folder}")
    assert_same(encode(again, pictures), encode(towers, pictures))
    assert any(layer.p == 0.1 for layer in again.modules() if isinstance(layer, torch.nn.Dropout))
    save_towers(tmp_path / "twice", again.config, to_numpy(again.model))
    shutil.rmtree(folder)
    assert_same(by_featurizer(tmp_path / "twice", pictures), encode(towers, pictures))


def test_towers_of_open_clip_itself_are_saved(open_clip, tiny, weights, pictures, tmp_path):
    towers = build_towers((tiny, weights))
    save_towers(tmp_path / "saved", towers.config, to_numpy(towers.model))
    expected = encode(towers, pictures)
    assert_same(by_open_clip(open_clip, tmp_path / "saved", pictures), expected)
    assert_same(by_featurizer(tmp_path / "saved", pictures), expected)


def test_a_name_on_a_hub_is_kept(towers, tmp_path):
    config = json.loads(json.dumps(towers.config["model_cfg"]))
    config["text_cfg"]["hf_model_name"] = "owner/bert"
    save_towers(tmp_path / "saved", {**towers.config, "model_cfg": config}, {})
    written = json.loads((tmp_path / "saved" / "open_clip_config.json").read_text())
    assert written["model_cfg"] == config


def test_saving_again_replaces_what_was_saved(folder, pictures):
    other = build_towers("small", ["another dog"], small={**SMALL, "width": 8})
    save_towers(folder, other.config, to_numpy(other.model))
    assert_same(by_featurizer(folder, pictures), encode(other, pictures))
    assert [path.name for path in folder.parent.iterdir()] == ["saved"]


def test_a_folder_with_other_files_is_left_alone(towers, folder):
    (folder / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match=r"holds other files \(thesis.tex\), which would be lost"):
        save_towers(folder, towers.config, {})
    assert (folder / "thesis.tex").read_text() == "years of work"
    assert (folder / "open_clip_model.safetensors").stat().st_size > 1000


def test_a_failure_leaves_what_was_saved_and_nothing_else(monkeypatch, towers, folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def fail(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("safetensors.numpy.save_file", fail)
    with pytest.raises(OSError, match="no space left"):
        save_towers(folder, towers.config, {})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["saved"]


def test_folders_on_the_way_are_made(towers, tmp_path):
    save_towers(tmp_path / "new" / "folders", towers.config, {})
    assert (tmp_path / "new" / "folders" / "tokenizer.json").is_file()


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_failure_between_two_renames_leaves_what_was_saved(monkeypatch, towers, folder):
    before = content(folder)
    monkeypatch.setattr(_files, "_exchange", lambda *_: False)
    rename = type(folder).rename

    def fail(self, target):
        if self.suffix == ".new":
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(type(folder), "rename", fail)
    with pytest.raises(KeyboardInterrupt):
        save_towers(folder, towers.config, {})
    assert content(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == ["saved"]


# Places that are refused


def test_a_file_is_refused_and_stays(towers, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match=r"thesis.tex' is a file: give a folder that is new or em"):
        save_towers(tmp_path / "thesis.tex", towers.config, {})
    assert content(tmp_path) == {"thesis.tex": b"years of work"}


@pytest.mark.parametrize("place", ["", ".", "..", "../.."])
def test_the_working_directory_and_those_around_it_are_refused(
    towers, tmp_path, monkeypatch, place
):
    here = tmp_path / "a" / "b"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    with pytest.raises(ValueError, match="is the working directory or holds it, and would be repl"):
        save_towers(place, towers.config, {})
    assert here.is_dir()
    save_towers("new", towers.config, {})
    assert (here / "new" / "tokenizer.json").is_file()


def test_a_saved_folder_that_is_the_working_directory_is_refused(towers, folder, monkeypatch):
    before = content(folder)
    monkeypatch.chdir(folder)
    with pytest.raises(ValueError, match="is the working directory"):
        save_towers(".", towers.config, {})
    assert content(folder) == before


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "open_clip_config.json"])
def test_files_of_the_same_names_that_are_no_saved_model_are_left_alone(towers, tmp_path, name):
    (tmp_path / name).write_text('{"years of": "work"}')
    with pytest.raises(ValueError, match="is not empty and holds no saved model"):
        save_towers(tmp_path, towers.config, {})
    assert content(tmp_path) == {name: b'{"years of": "work"}'}


def test_files_of_the_model_before_do_not_stand_in_the_way(towers, folder):
    more = {**towers.config, "files": {**towers.config["files"], "merges.txt": b"a b"}}
    save_towers(folder, more, {})
    assert (folder / "merges.txt").is_file()
    save_towers(folder, towers.config, {})
    assert not (folder / "merges.txt").exists()


def test_a_link_to_a_folder_stays_a_link(towers, folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    save_towers(tmp_path / "link", towers.config, {})
    assert (tmp_path / "link").is_symlink()
    assert (folder / "open_clip_model.safetensors").stat().st_size < 1000


# Damage


def flipped(data, position):
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


def load_with_clip(folder):
    CLIPFeaturizer(f"local-dir:{folder}", modality="text", device="cpu").transform(["a dog"])


@pytest.mark.parametrize(
    "load", [load_with_clip, lambda folder: build_towers(f"local-dir:{folder}")]
)
@pytest.mark.parametrize(
    "name",
    ["open_clip_model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"],
)
@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_a_flipped_bit_in_any_file_is_an_error(folder, load, name, share):
    path = folder / name
    data = path.read_bytes()
    path.write_bytes(flipped(data, int(share * (len(data) - 1))))
    with pytest.raises(ValueError, match=rf"{name}' is damaged or was changed: save the model aga"):
        load(folder)


def test_a_flipped_bit_in_the_configuration_is_an_error(folder):
    path = folder / "open_clip_config.json"
    data = path.read_bytes()
    document = json.loads(data)
    n_refused = 0
    for position in range(0, len(data), 7):
        path.write_bytes(flipped(data, position))
        try:
            found = read_document(folder)
        except (ValueError, OSError):
            n_refused += 1
        else:  # white space, or the name of the checksums themselves
            assert found["model_cfg"] == document["model_cfg"]
            assert found["preprocess_cfg"] == document["preprocess_cfg"]
    assert n_refused > 100


def test_checksums_are_those_of_the_files(folder):
    document = json.loads((folder / "open_clip_config.json").read_text())
    assert document["sha256"].keys() == content(folder).keys()
    for name, data in content(folder).items():
        if name != "open_clip_config.json":
            assert document["sha256"][name] == hashlib.sha256(data).hexdigest()


def test_a_folder_without_checksums_is_loaded(towers, folder, pictures):
    path = folder / "open_clip_config.json"
    document = json.loads(path.read_text())
    del document["sha256"]
    path.write_text(json.dumps(document))
    assert_same(by_featurizer(folder, pictures), encode(towers, pictures))


@pytest.mark.parametrize("name", ["../../secret", "/dev/zero"])
def test_a_checksum_of_a_file_elsewhere_is_an_error(folder, name):
    from skhash.features._towers.strangers import checksum

    path = folder / "open_clip_config.json"
    document = json.loads(path.read_text())
    document["sha256"][name] = "0"
    document["sha256"]["open_clip_config.json"] = checksum(document)
    path.write_text(json.dumps(document))
    with pytest.raises(ValueError, match="refers to a file in another folder"):
        read_document(folder, whole=True)


def test_a_folder_that_is_saved_while_it_is_loaded_is_no_mixture(towers, folder, monkeypatch):
    from open_clip import factory

    create = factory.load_checkpoint

    def late(*arguments, **options):
        other = build_towers("small", CAPTIONS, seed=5, small=SMALL)
        save_towers(folder, other.config, to_numpy(other.model))
        return create(*arguments, **options)

    monkeypatch.setattr(factory, "load_checkpoint", late)
    with pytest.raises(ValueError, match="was saved again while it was loaded: load it again"):
        load_with_clip(folder)


# Several writers, and kills


def test_writers_at_the_same_time_leave_one_of_the_two(towers, tmp_path):
    other = build_towers("small", ["another dog"], small={**SMALL, "width": 8})
    known = [(each.config, to_numpy(each.model)) for each in (towers, other)]

    def save(config, state):
        for _ in range(5):
            save_towers(tmp_path / "saved", config, state)

    writers = [threading.Thread(target=save, args=each) for each in known]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    read_document(tmp_path / "saved", whole=True)
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]


KILLS = """
import os, pickle, random, signal, sys, time
from pathlib import Path

from skhash.features._towers.folder import save_towers
from skhash.features._towers.strangers import read_document

folder = Path(sys.argv[1])
known = pickle.loads(Path(sys.argv[2]).read_bytes())
contents = []

def found():
    read_document(folder, whole=True)
    return contents.index({path.name: path.read_bytes() for path in folder.iterdir()})

for config, state in known[::-1]:
    save_towers(folder, config, state)
    contents.insert(0, {path.name: path.read_bytes() for path in folder.iterdir()})
for _ in range(10):
    child = os.fork()
    while not child:
        for config, state in known:
            save_towers(folder, config, state)
    time.sleep(random.uniform(0, 0.05))
    os.kill(child, signal.SIGKILL)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    print(found())
save_towers(folder, *known[0])
print(*(path.name for path in folder.parent.iterdir()))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_killed_save_leaves_one_of_the_two_models(towers, tmp_path):
    other = build_towers("small", ["another dog"], small={**SMALL, "width": 8})
    known = [(each.config, to_numpy(each.model)) for each in (towers, other)]
    (tmp_path / "known.pickle").write_bytes(pickle.dumps(known))
    (tmp_path / "place").mkdir()
    folder = tmp_path / "place" / "saved"
    # A process of its own: one with threads should not fork.
    done = subprocess.run(
        [sys.executable, "-c", KILLS, folder, tmp_path / "known.pickle"],
        capture_output=True,
        text=True,
        check=True,
    )
    *outcomes, left = done.stdout.splitlines()
    assert len(outcomes) == 10
    assert set(outcomes) <= {"0", "1"}
    assert left == "saved"
