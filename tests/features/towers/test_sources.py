import json
import re

import numpy as np
import pytest
import torch

from skhash._libraries import import_with_torchvision
from skhash._torch.weights import to_numpy
from skhash.features import CLIPFeaturizer
from skhash.features._towers.sources import build_towers

TEXTS = ["a dog", "two cats and a dog"]
IMAGE_TOWER = "timm/test_vit.r160_in1k"


@pytest.mark.parametrize(
    ("towers", "hint"),
    [
        ("Small", "got 'Small': did you mean 'small'"),
        ("ViT-B-23", "got 'ViT-B-23': did you mean .*'ViT-B-32'"),
        ("?", "got '\\?': no name is like it"),
        (("test_vitt", "bert"), "got 'test_vitt': did you mean 'test_vit'"),
        (("timm/ViT-B-32", "bert"), "got 'ViT-B-32'"),
    ],
)
def test_unknown_towers_are_refused_with_those_that_are_close(towers, hint):
    with pytest.raises(ValueError, match=f"towers must be 'small', a model of open_clip, .*{hint}"):
        build_towers(towers, TEXTS)


@pytest.mark.parametrize("towers", [None, 3, ("ViT-B-32",), ("a", "b", "c")])
def test_what_names_no_towers_is_refused(towers):
    with pytest.raises(TypeError, match=f"got {re.escape(repr(towers))}"):
        build_towers(towers, TEXTS)


def test_a_model_that_writes_captions_is_refused():
    with pytest.raises(ValueError, match="'coca_ViT-B-32' is more than two encoders"):
        build_towers("coca_ViT-B-32")


def test_a_name_alone_has_random_weights_of_the_seed(tiny):
    before = torch.get_rng_state()
    states = [to_numpy(build_towers(tiny, seed=seed).model) for seed in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(states[0]["visual.proj"], states[1]["visual.proj"])
    assert not np.array_equal(states[0]["visual.proj"], states[2]["visual.proj"])


def test_a_model_starts_from_its_weights(tiny, weights, pictures):
    towers = build_towers((tiny, weights))
    image = CLIPFeaturizer(tiny, pretrained=weights, device="cpu")
    text = CLIPFeaturizer(tiny, pretrained=weights, modality="text", device="cpu")
    images, tokens = towers.read_images(pictures), towers.read_texts(TEXTS)
    np.testing.assert_allclose(towers.encode_images(images), image.transform(pictures), atol=1e-5)
    np.testing.assert_allclose(towers.encode_texts(tokens), text.transform(TEXTS), atol=1e-5)


def test_training_does_not_change_the_model_of_the_featurizer(tiny, weights, pictures):
    featurizer = CLIPFeaturizer(tiny, pretrained=weights, device="cpu")
    before = featurizer.transform(pictures)
    towers = build_towers((tiny, weights))
    with torch.no_grad():
        towers.model.visual.proj.zero_()
    np.testing.assert_array_equal(featurizer.transform(pictures), before)


def test_a_strip_that_would_fill_the_memory_is_refused(tiny, weights):
    strip = np.zeros((1, 1_000_000), dtype=np.uint8)
    with pytest.raises(ValueError, match=r"row 7 \(ndarray\): .*strip of 1000000 x 1 pixels"):
        build_towers((tiny, weights)).read_images([strip], rows=[7])


def test_a_tag_brings_its_activation_and_preprocessing(tiny, pictures, own_tag):
    towers = build_towers((tiny, "tag"), **own_tag)
    expected = CLIPFeaturizer(tiny, pretrained="tag", device="cpu", **own_tag).transform(pictures)
    encoded = towers.encode_images(towers.read_images(pictures))
    np.testing.assert_allclose(encoded, expected, atol=1e-5)


def test_weights_that_are_nowhere_are_an_error_with_the_ways_out(tmp_path):
    with pytest.raises(OSError, match=r"not in the cache folder .*or set pretrained=None"):
        build_towers(("ViT-B-32", "openai"), weights_dir=tmp_path, local_files_only=True)


@pytest.fixture
def bert(tmp_path):
    """Folder of a tiny BERT with weights, as transformers saves it."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "dog", "cats", "a", "two", "and"]
    folder = tmp_path / "bert"
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=16,
    )
    with torch.random.fork_rng(devices=[]):
        BertModel(config).save_pretrained(folder)
    BertTokenizerFast(vocab={word: j for j, word in enumerate(words)}).save_pretrained(folder)
    return folder


@pytest.fixture
def cache(put_into_cache, tmp_path):
    """A cache folder that holds the weights of an image tower of timm."""
    from safetensors.torch import save

    timm = import_with_torchvision("timm")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(3)
        state = timm.create_model("test_vit").state_dict()
    folder = tmp_path / "cache"
    put_into_cache(folder, IMAGE_TOWER, {"model.safetensors": save(state)})
    return folder


def test_two_towers_start_from_their_own_weights(bert, cache, pictures):
    before = torch.get_rng_state()
    towers = build_towers(("test_vit", str(bert)), weights_dir=cache, local_files_only=True)
    assert torch.equal(torch.get_rng_state(), before)
    from safetensors.numpy import load_file

    state = to_numpy(towers.model)
    kept = load_file(next(cache.rglob("model.safetensors")))
    kept_text = load_file(bert / "model.safetensors")
    for name, array in kept.items():
        if not name.startswith("head."):
            np.testing.assert_array_equal(state[f"visual.trunk.{name}"], array)
    for name, array in kept_text.items():
        if not name.startswith("pooler."):
            np.testing.assert_array_equal(state[f"text.transformer.{name}"], array)
    assert towers.config["preprocess_cfg"]["mean"] == (0.5, 0.5, 0.5)
    assert towers.read_images(pictures).shape == (5, 3, 160, 160)
    tokens = towers.read_texts(TEXTS)
    assert tokens.shape == (2, 16)
    assert towers.encode_texts(tokens).shape == (2, 256)
    assert str(bert) not in json.dumps(towers.config["model_cfg"])


def test_a_prefix_means_the_image_tower_of_timm(bert, cache):
    hub = {"weights_dir": cache, "local_files_only": True}
    with pytest.raises(
        OSError, match=r"'timm/convnext_base.*model.safetensors' is not in the cache"
    ):
        build_towers(("timm/convnext_base", str(bert)), **hub)
    with pytest.raises(ValueError, match="neither a file nor a tag of 'convnext_base'"):
        build_towers(("convnext_base", str(bert)), **hub)


def test_a_text_tower_that_is_nowhere_is_an_error_with_the_ways_out(cache):
    with pytest.raises(OSError, match=r"text encoder 'owner/bert' is not on this disk .*'small'"):
        build_towers(("test_vit", "owner/bert"), weights_dir=cache, local_files_only=True)


def test_a_text_tower_without_weights_is_an_error(bert, cache):
    (bert / "model.safetensors").unlink()
    with pytest.raises(OSError, match=r"the text encoder .* is not on this disk"):
        build_towers(("test_vit", str(bert)), weights_dir=cache, local_files_only=True)


def test_an_image_tower_that_is_nowhere_is_an_error(bert, tmp_path):
    with pytest.raises(OSError, match=r"'timm/test_vit.r160_in1k/model.safetensors' is not in"):
        build_towers(("test_vit", str(bert)), weights_dir=tmp_path, local_files_only=True)
