"""Texts on their way into a model: trimmed, sorted, cut or refused."""

import json

import numpy as np
import pytest

from skhash.features import CLIPFeaturizer
from skhash.features._clip.texts import text_batches, text_encoder
from skhash.features._towers.models import load_model, locate

HUB = {"weights_dir": None, "local_files_only": True}
TEXTS = ["a dog on a mat", "", "a", "two cats and a dog", "dog", "a cat a cat a cat a cat"]
TOWERS = {
    "argmax": {},
    "eos": {"pool_type": "eos", "eos_id": 49407},
    "biased": {"proj_bias": True},
    "biased joint": {"proj_bias": True},
    "last": {"no_causal_mask": True, "pool_type": "last"},
    "bidirectional": {"no_causal_mask": True},
    "unprojected": {"proj_type": "none"},
    "class token": {"embed_cls": True},
}
CUSTOM = {"biased", "last", "bidirectional", "class token"}
TRIMMED = {"argmax", "eos", "biased"}


@pytest.fixture
def make(open_clip, tiny_config, tmp_path):
    """Save a folder with a text tower of a kind; return the model's name and open_clip's own."""
    import torch

    def make(kind):
        config = json.loads(tiny_config.read_text())
        config["text_cfg"].update(TOWERS[kind])
        config["custom_text"] = kind in CUSTOM
        folder = tmp_path / kind.replace(" ", "_")
        folder.mkdir()
        (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
        name = f"local-dir:{folder}"
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(3)
            model = open_clip.create_model(name, load_weights=False)
        torch.save(model.state_dict(), folder / "open_clip_model.bin")
        return name, model.eval()

    return make


@pytest.mark.parametrize("kind", TOWERS)
def test_texts_of_every_tower_equal_those_of_open_clip(open_clip, make, kind):
    import torch

    name, model = make(kind)
    texts = [text for text in TEXTS if len(text) < 20]
    with torch.inference_mode():
        tokens = open_clip.get_tokenizer(name)(texts)
        expected = model.encode_text(tokens, normalize=True).numpy()
    for batch_size in (1, 3, 100):
        featurizer = CLIPFeaturizer(name, modality="text", batch_size=batch_size, device="cpu")
        np.testing.assert_allclose(featurizer.transform(texts), expected, atol=1e-5)


def widths(name, texts, batch_size=2):
    from skhash.features._towers.tokens import load_tokenizer

    located = locate(name, "openai", **HUB)
    model, _ = load_model(located, "cpu")
    tokenizer = load_tokenizer(located, **HUB)
    batches = list(text_batches(texts, tokenizer, model, batch_size=batch_size))
    return [(positions, tokens.shape[1]) for positions, tokens, _ in batches]


@pytest.mark.parametrize("kind", sorted(TRIMMED))
def test_batches_hold_texts_of_like_length_and_are_as_long_as_the_longest(make, kind):
    assert widths(make(kind)[0], ["a b c", "a", "", "a b"]) == [([2, 1], 3), ([3, 0], 5)]


@pytest.mark.parametrize("kind", sorted(set(TOWERS) - TRIMMED))
def test_towers_that_see_the_padding_get_all_of_it_in_the_order_of_the_rows(make, kind):
    assert widths(make(kind)[0], ["a b c", "a", ""]) == [([0, 1], 8), ([2], 8)]


def test_all_texts_come_once_even_past_the_texts_that_are_sorted_together(make):
    name, _ = make("argmax")
    texts = ["a " * (row % 5) for row in range(150)]
    positions = [position for batch, _ in widths(name, texts, batch_size=1) for position in batch]
    assert sorted(positions) == list(range(150))


def test_trimming_leaves_the_model_as_it_was(make):
    name, _ = make("argmax")
    CLIPFeaturizer(name, modality="text", device="cpu").transform(["a"])
    model, _ = load_model(locate(name, "openai", **HUB), "cpu")
    assert model.text.attn_mask.shape == (8, 8)
    assert model.text.text_projection is not None


def test_threads_may_share_a_model(make):
    from joblib import Parallel, delayed

    name, _ = make("argmax")
    featurizer = CLIPFeaturizer(name, modality="text", batch_size=1, device="cpu")
    expected = featurizer.transform(TEXTS[:5])
    results = Parallel(n_jobs=4, prefer="threads")(
        delayed(featurizer.transform)(TEXTS[:5]) for _ in range(20)
    )
    for vectors in results:
        np.testing.assert_allclose(vectors, expected, atol=1e-6)


def test_a_long_text_is_refused_with_its_row(tiny, weights):
    featurizer = CLIPFeaturizer(
        tiny, pretrained=weights, modality="text", long_text="raise", device="cpu"
    )
    exact = "a b c d e f"  # six tokens, the start and the end: eight
    featurizer.transform([exact])
    with pytest.raises(ValueError, match=r"text in row 2 has more tokens than the 8 .*'truncate'"):
        featurizer.transform([exact, exact, exact + " g", ""])


def test_a_long_text_is_cut_as_open_clip_cuts_it(open_clip, tiny, weights):
    import torch

    model = open_clip.create_model(tiny, pretrained=str(weights)).eval()
    texts = ["a b c d e f g h i j", "a b c d e f g"]
    with torch.inference_mode():
        tokens = open_clip.get_tokenizer(tiny)(texts)
        expected = model.encode_text(tokens, normalize=True).numpy()
    featurizer = CLIPFeaturizer(tiny, pretrained=weights, modality="text", device="cpu")
    with pytest.warns(UserWarning, match="2 of 2 distinct texts were cut"):
        np.testing.assert_allclose(featurizer.transform(texts), expected, atol=1e-5)


def test_the_encoder_of_a_joint_model_is_its_own(make):
    model, _ = load_model(locate(make("unprojected")[0], "openai", **HUB), "cpu")
    assert not hasattr(model, "text")
    assert text_encoder(model).func == model.encode_text
