import json
import shutil

import numpy as np
import pytest
import torch

from skhash.features import CLIPFeaturizer
from skhash.features._contrastive_saving import save_towers
from skhash.features._contrastive_starts import build_towers
from skhash.features._contrastive_towers import state_to_numpy

pytestmark = pytest.mark.filterwarnings("ignore:.*hold no word that the text encoder knows")
CAPTIONS = ["a red dog", "two dogs and a red cat", "the cat", "dogs, dogs, dogs", "a red box"]
UNSEEN = ["", "an unseen dog", "RED CATS"]
SMALL = {
    "image_size": 16,
    "patch_size": 8,
    "width": 16,
    "image_layers": 1,
    "text_layers": 1,
    "embed_dim": 8,
}


@pytest.fixture
def towers():
    return build_towers("small", CAPTIONS, seed=4, small=SMALL)


@pytest.fixture
def folder(towers, tmp_path):
    save_towers(tmp_path / "saved", towers.config, state_to_numpy(towers.model))
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
    small = {"image_tower": image_tower, "image_size": 32, "width": 16, "text_layers": 1}
    towers = build_towers("small", CAPTIONS, small=small)
    save_towers(tmp_path / "saved", towers.config, state_to_numpy(towers.model))
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
    save_towers(folder, other.config, state_to_numpy(other.model))
    assert_same(by_featurizer(copy, pictures), encode(towers, pictures))


def test_training_goes_on_from_a_saved_folder(towers, folder, pictures, tmp_path):
    again = build_towers(f"local-dir:{folder}")
    assert_same(encode(again, pictures), encode(towers, pictures))
    assert any(layer.p == 0.1 for layer in again.modules() if isinstance(layer, torch.nn.Dropout))
    save_towers(tmp_path / "twice", again.config, state_to_numpy(again.model))
    shutil.rmtree(folder)
    assert_same(by_featurizer(tmp_path / "twice", pictures), encode(towers, pictures))


def test_towers_of_open_clip_itself_are_saved(open_clip, tiny, weights, pictures, tmp_path):
    towers = build_towers((tiny, weights))
    save_towers(tmp_path / "saved", towers.config, state_to_numpy(towers.model))
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
    save_towers(folder, other.config, state_to_numpy(other.model))
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
