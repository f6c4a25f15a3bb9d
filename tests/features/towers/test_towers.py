import io
import json
import pickle
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from skhash._torch.weights import from_numpy, to_numpy
from skhash.features._towers.backbones import trim
from skhash.features._towers.sources import build_towers
from skhash.features._towers.towers import rebuild_towers

CAPTIONS = ["a red dog", "two dogs and a red cat", "the cat", "dogs, dogs, dogs", "a red box"]
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
    "context_length": 12,
    "vocabulary_size": 8192,
}
VIT = {"image_size": 16, "layers": 1, "width": 16, "head_width": 8, "patch_size": 8}
TEXT = {"context_length": 10, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1}
KINDS = {
    "native": (VIT, TEXT),
    "bidirectional": (VIT, {**TEXT, "no_causal_mask": True, "pool_type": "last"}),
    "biased": (VIT, {**TEXT, "proj_bias": True}),
    "unprojected": (VIT, {**TEXT, "proj_type": "none"}),
    "resnet": ({"image_size": 32, "layers": [1, 1, 1, 1], "width": 4}, TEXT),
    "timm": ({"timm_model_name": "test_vit", "image_size": 160, "timm_pool": ""}, TEXT),
    "timm map": ({"timm_model_name": "resnet10t", "image_size": 32, "timm_pool": "rot_attn"}, TEXT),
    "fixed positions": ({**VIT, "pos_embed_type": "sin_cos_2d"}, TEXT),
}
ALL = ["small", *KINDS]


def features(towers, images, tokens):
    return towers.image_features(images), towers.text_features(tokens)


@pytest.fixture(scope="session")
def make(tmp_path_factory):
    """Build towers of a kind, fresh ones at each call."""

    @cache
    def folder_of(kind):
        vision, text = KINDS[kind]
        folder = tmp_path_factory.mktemp("towers")
        config = {"model_cfg": {"embed_dim": 64, "vision_cfg": vision, "text_cfg": text}}
        (folder / "open_clip_config.json").write_text(json.dumps(config))
        return f"local-dir:{folder}"

    def make(kind, seed=0):
        if kind == "small":
            return build_towers("small", CAPTIONS, seed=seed, small=SMALL)
        return build_towers((folder_of(kind), None), seed=seed)

    return make


@pytest.fixture
def small(make):
    return make("small")


@pytest.fixture
def batch(make, pictures):
    """Return a function that gives pixels and tokens for towers."""
    return lambda towers: (towers.read_images(pictures), towers.read_texts(CAPTIONS))


@pytest.mark.parametrize("kind", ALL)
def test_features_are_those_of_open_clip(make, batch, pictures, open_clip, kind):
    towers = make(kind).eval()
    images, tokens = batch(towers)
    model, preprocess = towers.model, towers.config["preprocess_cfg"]
    transform = open_clip.image_transform(model.visual.image_size, is_train=False, **preprocess)
    with torch.no_grad():
        (image, _), (text, _) = features(towers, images, tokens)
        seen = torch.stack([transform(picture) for picture in pictures])
        torch.testing.assert_close(image, model.encode_image(seen, normalize=True))
        expected = model.encode_text(tokens, normalize=True)
        torch.testing.assert_close(text, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ALL)
def test_a_projection_turns_what_is_pooled_into_embeddings(make, batch, kind):
    towers = make(kind).eval()
    with torch.no_grad():
        (image, pooled_image), (text, pooled_text) = features(towers, *batch(towers))
    assert (pooled_image.shape[1], pooled_text.shape[1]) == towers.pooled_widths()
    visual, reader = towers.model.visual, towers.model.text
    if kind in {"small", "native"}:
        torch.testing.assert_close(F.normalize(pooled_image @ visual.proj, dim=1), image)
    if kind == "timm":
        torch.testing.assert_close(F.normalize(visual.head(pooled_image), dim=1), image)
    if kind == "small":
        torch.testing.assert_close(F.normalize(reader.proj(pooled_text), dim=1), text)
    elif kind == "biased":
        torch.testing.assert_close(F.normalize(reader.text_projection(pooled_text), dim=1), text)
    elif kind == "unprojected":
        torch.testing.assert_close(F.normalize(pooled_text, dim=1), text)
    else:
        projected = pooled_text @ reader.text_projection
        torch.testing.assert_close(F.normalize(projected, dim=1), text)


def test_pixels_are_kept_as_bytes_or_given_in_unit_scale(small, batch):
    images, _ = batch(small)
    assert images.dtype == torch.uint8
    assert images.shape == (5, 3, 16, 16)
    with torch.no_grad():
        bytes_, _ = small.image_features(images)
        floats, _ = small.image_features(images.float() / 255)
    torch.testing.assert_close(bytes_, floats, rtol=0, atol=0)


def test_a_picture_that_cannot_be_read_is_named_with_its_row(small, paths):
    paths[1].write_bytes(b"junk")
    with pytest.raises(ValueError, match=r"row 1 \('.*1.png'\): UnidentifiedImageError"):
        small.read_images(paths)
    with pytest.raises(ValueError, match=r"cannot be read, row 7 \(.*; repair or drop it"):
        small.read_images(paths, rows=[3, 7, 8, 9, 10])


def test_texts_that_are_cut_are_counted(small):
    exact, longer = "dog " * 10, "dog " * 11  # and two places for the ends
    small.read_texts([exact])
    with pytest.warns(UserWarning, match="2 of 3 texts are longer than the 12 tokens"):
        tokens = small.read_texts([longer, exact, longer])
    assert (tokens == tokens[0]).all()


@pytest.mark.parametrize("kind", ["small", "native"])
def test_texts_are_as_long_as_the_longest_of_their_batch(make, batch, kind):
    towers = make(kind).eval()
    _, tokens = batch(towers)
    short = trim(towers.model.text, tokens)
    assert (short == tokens[:, : short.shape[1]]).all()
    assert (short[:, -1] != towers.pad_id).any()
    assert (tokens[:, short.shape[1] :] == towers.pad_id).all()
    assert short.shape[1] < tokens.shape[1]


def test_padding_that_is_looked_at_is_kept(make, batch):
    towers = make("bidirectional")
    _, tokens = batch(towers)
    assert trim(towers.model.text, tokens) is tokens


def test_embeddings_do_not_depend_on_the_batch(small, batch):
    images, tokens = batch(small)
    for encode, items in [(small.encode_images, images), (small.encode_texts, tokens)]:
        whole = encode(items)
        assert whole.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1, atol=1e-6)
        np.testing.assert_allclose(encode(items, batch_size=2), whole, atol=1e-5)


@pytest.mark.parametrize("side", ["image", "text"])
def test_threads_that_share_towers_do_not_disturb_each_other(make, batch, side):
    towers = make("native").eval()
    images, tokens = batch(towers)
    tower, encode, items = {
        "image": (towers.model.visual, towers.encode_images, images),
        "text": (towers.model.text, towers.encode_texts, tokens),
    }[side]
    expected = encode(items)
    tower.register_forward_pre_hook(lambda *_: time.sleep(0.05))
    with ThreadPoolExecutor(3) as threads:
        for found in threads.map(encode, [items] * 3):
            np.testing.assert_array_equal(found, expected)


def test_encoding_is_done_in_evaluation_mode_and_leaves_the_modes(small, batch):
    _, tokens = batch(small)
    small.train_only("text")
    before = [module.training for module in small.modules()]
    np.testing.assert_array_equal(small.encode_texts(tokens), small.encode_texts(tokens))
    small.pooled_widths()
    assert [module.training for module in small.modules()] == before
    assert len(set(before)) == 2


def test_features_of_a_trained_tower_have_dropout_and_gradients(small, batch):
    _, tokens = batch(small)
    small.train_only("all")
    with torch.random.fork_rng(devices=[]):
        (first, pooled), (second, _) = small.text_features(tokens), small.text_features(tokens)
    assert (first - second).abs().max() > 1e-3
    assert first.requires_grad
    assert pooled.requires_grad


def test_features_are_float32_under_autocast(small, batch):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (image, _), (text, _) = features(small, *batch(small))
    assert image.dtype == text.dtype == torch.float32
    torch.testing.assert_close(image.norm(dim=1), torch.ones(5))
    torch.testing.assert_close(text.norm(dim=1), torch.ones(5))


def train_a_step(towers, batch, part):
    """Take one step and return the names of the weights and statistics that it changed."""
    before = to_numpy(towers.model)
    parameters = towers.train_only(part)
    optimizer = torch.optim.AdamW(towers.parameters(), lr=0.1, weight_decay=0.5)
    with torch.random.fork_rng(devices=[]):
        (image, _), (text, _) = features(towers, *batch(towers))
    logits = towers.model.logit_scale.exp() * image @ text.T
    F.cross_entropy(logits, torch.arange(len(image))).backward()
    optimizer.step()
    after = to_numpy(towers.model)
    changed = {name for name in after if not np.array_equal(before[name], after[name])}
    return changed, set(parameters)


@pytest.mark.parametrize("kind", ["small", "native", "biased", "resnet", "timm", "timm map"])
@pytest.mark.parametrize("part", ["projections", "image", "text", "all"])
def test_a_step_changes_nothing_that_is_frozen(make, batch, kind, part):
    towers = make(kind)
    changed, parameters = train_a_step(towers, batch, part)
    buffers = {name for name, _ in towers.model.named_buffers()}
    assert "logit_scale" in parameters
    # A bias of keys has no effect, nor has one before a zero; all else that is trained moves.
    assert all(name.endswith("bias") for name in parameters - changed)
    tower = {"image": "visual.", "text": "text."}.get(part, "")
    assert all(name.startswith(tower) or name == "logit_scale" for name in changed)
    statistics = changed & buffers
    assert changed <= parameters | statistics
    has_statistics = kind in {"resnet", "timm map"}
    assert bool(statistics) == (has_statistics and part in {"image", "all"})


PROJECTIONS = {
    "small": {"visual.proj", "text.proj.weight"},
    "native": {"visual.proj", "text.text_projection"},
    "biased": {"visual.proj", "text.text_projection.weight", "text.text_projection.bias"},
    "unprojected": {"visual.proj"},
    "timm": {"visual.head.proj.weight", "text.text_projection"},
}


@pytest.mark.parametrize("kind", PROJECTIONS)
def test_projections_are_found_in_every_kind_of_tower(make, kind):
    assert set(make(kind).train_only("projections")) == {*PROJECTIONS[kind], "logit_scale"}


def test_all_is_all_that_is_learned(make):
    towers = make("fixed positions")
    everything = {name for name, _ in towers.model.named_parameters()}
    assert everything - set(towers.train_only("all")) == {"visual.positional_embedding"}


def test_a_frozen_tower_does_not_drop(small, batch):
    _, tokens = batch(small)
    for part in ("projections", "image"):
        small.train_only(part)
        torch.testing.assert_close(*(small.text_features(tokens)[0] for _ in range(2)))


def test_an_unknown_part_is_refused(small):
    with pytest.raises(ValueError, match=r"part must be one of 'projections', .*, got 'visual'"):
        small.train_only("visual")


@pytest.mark.parametrize("kind", ["small", "native", "timm"])
def test_gradient_checkpointing_changes_no_gradient_and_can_be_undone(make, batch, kind):
    towers = make(kind)
    inputs = batch(towers)

    def gradients():
        parameters = towers.train_only("all")
        towers.zero_grad()
        ran = []
        layers = [m for m in towers.modules() if isinstance(m, torch.nn.LayerNorm)]
        hooks = [layer.register_forward_hook(lambda *_: ran.append(1)) for layer in layers]
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            (image, _), (text, _) = features(towers, *inputs)
            (image @ text.T).square().sum().backward()
        for hook in hooks:
            hook.remove()
        return [p.grad for p in parameters.values() if p.grad is not None], len(ran)

    plain, n_plain = gradients()
    towers.set_grad_checkpointing()
    saving, n_saving = gradients()
    towers.set_grad_checkpointing(False)
    _, n_again = gradients()
    torch.testing.assert_close(saving, plain)
    assert n_saving > n_plain == n_again


def test_a_seed_decides_the_weights_and_touches_no_global_generator(make):
    before = torch.get_rng_state()
    first, again, other = (to_numpy(make("small", seed).model) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["visual.proj"], other["visual.proj"])


@pytest.mark.parametrize("kind", ALL)
def test_weights_lie_in_memory_as_they_are_written(make, kind):
    # safetensors writes the memory of an array, whatever its strides.
    state = to_numpy(make(kind).model)
    assert all(array.flags.c_contiguous for array in state.values())


def test_weights_are_copied_both_ways(small):
    state = to_numpy(small.model)
    kept = state["visual.proj"].copy()
    with torch.no_grad():
        small.model.visual.proj.add_(1)
    np.testing.assert_array_equal(state["visual.proj"], kept)
    from_numpy(small.model, state)
    state["visual.proj"][:] = 0
    np.testing.assert_array_equal(small.model.visual.proj.detach().numpy(), kept)


class OnlyNumPy(pickle.Unpickler):
    def find_class(self, module, name):
        assert module.partition(".")[0] == "numpy"
        return super().find_class(module, name)


FRESH = """
import pickle, socket, sys
def refuse(*args):
    raise AssertionError("the network was asked")
socket.socket.connect = socket.getaddrinfo = refuse
from skhash.features._towers.towers import rebuild_towers
config, state, images, texts = pickle.loads(sys.stdin.buffer.read())
import torch
towers = rebuild_towers(config, state)
tokens = towers.read_texts(texts)
vectors = towers.encode_images(torch.tensor(images)), towers.encode_texts(tokens)
sys.stdout.buffer.write(pickle.dumps(vectors))
"""


def test_towers_come_back_from_numpy_in_a_fresh_process_without_a_network(make, batch):
    small = make("small", seed=5)
    images, tokens = batch(small)
    content = pickle.dumps((small.config, to_numpy(small.model), images.numpy(), CAPTIONS))
    OnlyNumPy(io.BytesIO(content)).load()
    command = [sys.executable, "-c", FRESH]
    done = subprocess.run(command, input=content, capture_output=True, check=True)
    image, text = pickle.loads(done.stdout)
    np.testing.assert_allclose(image, small.encode_images(images), atol=1e-6)
    np.testing.assert_allclose(text, small.encode_texts(tokens), atol=1e-6)


@pytest.mark.parametrize("kind", ["native", "resnet", "timm"])
def test_towers_of_every_kind_are_rebuilt(make, batch, kind):
    towers = make(kind, seed=2)
    images, tokens = batch(towers)
    again = rebuild_towers(towers.config, to_numpy(towers.model))
    np.testing.assert_array_equal(again.encode_images(images), towers.encode_images(images))
    np.testing.assert_array_equal(again.encode_texts(tokens), towers.encode_texts(tokens))


def test_special_tokens_are_no_words(small, make):
    tokens = small.read_texts(["a red dog"])[0]
    words = [int(token) for token in tokens if int(token) not in small.special_ids]
    assert [small.tokenizer.tokenizer.decode(word) for word in words] == ["red", "dog"]
    native = make("native")
    assert native.pad_id == 0
    assert native.special_ids == [0, 49406, 49407]
