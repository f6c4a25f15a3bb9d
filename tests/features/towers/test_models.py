import json
import pickle
import shutil

import numpy as np
import pytest

from skhash.features import CLIPFeaturizer
from skhash.features._towers import models
from skhash.features._towers.models import differs_from_tags, load_model, locate, read_config
from skhash.features._towers.tokens import from_disk_first, load_tokenizer

HUB = {"weights_dir": None, "local_files_only": True}


@pytest.fixture
def model_config(tiny_config):
    config = {"model_cfg": json.loads(tiny_config.read_text()), "preprocess_cfg": {}}
    return json.dumps(config).encode()


@pytest.fixture
def no_network(monkeypatch, open_clip):
    """Let every download fail as it does without a network, but at once."""
    asked = []

    def fail(config, cache_dir=None):
        asked.append(config["hf_hub"])
        try:
            raise ConnectionError("no route to host")
        except ConnectionError as error:
            raise FileNotFoundError("Failed to download") from error

    monkeypatch.setattr(open_clip, "download_pretrained", fail)
    monkeypatch.setattr(models, "ask_hub", lambda: None)
    return asked


@pytest.fixture
def silent_hub(monkeypatch):
    """Let the hub be at an address where nothing answers; list what was asked there."""
    import huggingface_hub
    from huggingface_hub import constants

    asked, get_session = [], huggingface_hub.get_session

    class Session:
        def head(self, url, **options):
            asked.append(url)
            return get_session().head(url, **options)

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr(huggingface_hub, "get_session", Session)
    return asked


def test_a_hub_that_does_not_answer_is_asked_once(silent_hub, open_clip, monkeypatch, tmp_path):
    monkeypatch.delattr(open_clip, "download_pretrained")
    with pytest.raises(
        OSError, match=r"Connect.*local_files_only=True disables downloads"
    ) as caught:
        CLIPFeaturizer(weights_dir=tmp_path, modality="text").transform(["a dog"])
    assert "could not be fetched" in str(caught.value)
    assert silent_hub == ["http://127.0.0.1:1"]


def test_what_transformers_has_not_on_disk_is_asked_for_once(silent_hub):
    def load(local_files_only):
        assert local_files_only
        raise OSError("no such file")

    with pytest.raises(OSError, match="no such file") as caught:
        from_disk_first(load, local_files_only=False)
    assert "127.0.0.1" in str(caught.value.__cause__)
    assert silent_hub == ["http://127.0.0.1:1"]


def test_an_unknown_model_names_those_that_are_close():
    with pytest.raises(ValueError, match=r"no model_name='ViT-B-23': did you mean .*'ViT-B-32'"):
        CLIPFeaturizer("ViT-B-23").get_feature_names_out()


def test_a_model_name_like_no_other_is_unknown():
    with pytest.raises(ValueError, match="no name is like it"):
        read_config("?", **HUB)


def test_a_slash_in_a_model_name_is_a_dash():
    assert read_config("ViT-B/32", **HUB) == read_config("ViT-B-32", **HUB)


def test_an_unknown_tag_names_the_known_ones():
    with pytest.raises(ValueError, match=r"'open-ai' is neither a file nor a tag .*laion2b_e16"):
        locate("ViT-B-32", "open-ai", **HUB)


def test_a_path_that_is_no_file_is_refused(tiny, tmp_path):
    with pytest.raises(ValueError, match=r"missing.pt' is neither a file nor a tag .*no tag"):
        locate(tiny, tmp_path / "missing.pt", **HUB)


@pytest.mark.parametrize(
    ("name", "tag", "quick_gelu"),
    [
        ("ViT-B-32", "openai", True),
        ("ViT-B-32-quickgelu", "openai", True),
        ("ViT-B-16", "metaclip_400m", True),
        ("ViT-B-16", "dfn2b", True),
        ("ViT-B-32", "laion2b_s34b_b79k", False),
    ],
)
def test_weights_get_the_activation_that_they_were_trained_with(
    put_into_cache, open_clip, tmp_path, name, tag, quick_gelu
):
    repo = open_clip.get_pretrained_cfg(name, tag)["hf_hub"].strip("/")
    put_into_cache(tmp_path, repo, {"open_clip_model.safetensors": b""})
    located = locate(name, tag, weights_dir=tmp_path, local_files_only=True)
    assert located.quick_gelu == quick_gelu


def test_no_tag_is_left_with_the_wrong_activation(open_clip):
    for name, tag in open_clip.list_pretrained():
        flag = open_clip.get_pretrained_cfg(name, tag).get("quick_gelu", False)
        quick = open_clip.get_model_config(f"{name.removesuffix('-quickgelu')}-quickgelu")
        if flag and quick is not None:
            # What forcing the flag gives must be open_clip's own quickgelu architecture.
            forced = {**open_clip.get_model_config(name), "quick_gelu": True}
            assert forced == quick, (name, tag)


def test_a_tag_is_loaded_with_quickgelu_and_its_own_preprocessing(
    monkeypatch, open_clip, tiny, weights, pictures, own_tag
):
    import torch

    featurizer = CLIPFeaturizer(tiny, pretrained="tag", device="cpu", **own_tag)
    vectors = featurizer.transform(pictures)
    model, preprocess = open_clip.create_model_from_pretrained(
        tiny,
        pretrained=str(weights),
        force_quick_gelu=True,
        image_mean=(0.5, 0.5, 0.5),
        image_std=(0.25, 0.5, 0.5),
        image_interpolation="bilinear",
        image_resize_mode="squash",
    )
    with torch.inference_mode():
        batch = torch.stack([preprocess(picture) for picture in pictures])
        expected = model.eval().encode_image(batch, normalize=True).numpy()
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    plain = CLIPFeaturizer(tiny, pretrained=weights, device="cpu")
    monkeypatch.setattr(open_clip, "get_pretrained_cfg", lambda *_: {})
    assert np.abs(plain.transform(pictures) - expected).max() > 1e-3


def test_what_is_in_the_cache_is_not_fetched(put_into_cache, no_network, tmp_path):
    snapshot = put_into_cache(
        tmp_path, "timm/vit_base_patch32_clip_224.openai", {"open_clip_model.safetensors": b""}
    )
    located = locate("ViT-B-32", "openai", weights_dir=tmp_path, local_files_only=False)
    assert located.weights == str(snapshot / "open_clip_model.safetensors")
    assert no_network == []


def test_local_files_only_asks_no_network_and_says_what_is_missing(no_network, tmp_path):
    featurizer = CLIPFeaturizer(weights_dir=tmp_path, local_files_only=True, modality="text")
    with pytest.raises(OSError, match="local_files_only=True forbids a download") as caught:
        featurizer.transform(["a dog"])
    message = str(caught.value)
    assert "timm/vit_base_patch32_clip_224.openai" in message
    assert str(tmp_path) in message
    assert no_network == []


def test_without_a_network_one_error_names_the_ways_out(no_network, tmp_path):
    with pytest.raises(OSError, match="could not be fetched") as caught:
        CLIPFeaturizer(weights_dir=tmp_path, modality="text").transform(["a dog"])
    message = str(caught.value)
    assert no_network == ["timm/vit_base_patch32_clip_224.openai/"]
    for part in (
        no_network[0],
        str(tmp_path),
        "ConnectionError: no route to host",
        "fetch it once while online",
        "the path of a local copy",
        "pretrained=None for random weights (for tests only)",
    ):
        assert part in message


@pytest.mark.parametrize("content", [b"", b"junk", pickle.dumps({"a": 1}), pickle.dumps([1])])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_file_that_holds_no_state_dict_is_refused(tiny, tmp_path, pictures, content, suffix):
    path = tmp_path / f"junk{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"junk.* could not be loaded into .*give a state dict"):
        CLIPFeaturizer(tiny, pretrained=path, device="cpu").transform(pictures)


def test_weights_of_another_architecture_are_refused(tiny, tmp_path, pictures):
    import torch

    path = tmp_path / "other.pt"
    torch.save({"layer.weight": torch.zeros(2, 2)}, path)
    with pytest.raises(ValueError, match=r"other.pt' could not be loaded into 'tiny-clip"):
        CLIPFeaturizer(tiny, pretrained=path, device="cpu").transform(pictures)


class Harmful:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_a_pickled_object_in_a_checkpoint_is_never_run(tiny, tmp_path, pictures):
    import torch

    path, trace = tmp_path / "harmful.pt", tmp_path / "trace"
    torch.save({"state_dict": Harmful(str(trace))}, path)
    with pytest.raises(ValueError, match="could not be loaded"):
        CLIPFeaturizer(tiny, pretrained=path, device="cpu").transform(pictures)
    assert not trace.exists()


def save_folder(folder, model_config, weights=None):
    folder.mkdir()
    (folder / "open_clip_config.json").write_bytes(model_config)
    if weights is not None:
        shutil.copy(weights, folder / "open_clip_model.bin")
    return f"local-dir:{folder}"


def test_a_folder_gives_what_its_weights_give(tiny, weights, model_config, pictures, tmp_path):
    name = save_folder(tmp_path / "model", model_config, weights)
    for modality, items in [("image", pictures), ("text", ["a dog", "a cat"])]:
        vectors = CLIPFeaturizer(name, modality=modality, device="cpu").transform(items)
        expected = CLIPFeaturizer(tiny, pretrained=weights, modality=modality, device="cpu")
        np.testing.assert_allclose(vectors, expected.transform(items), atol=1e-6)


def test_a_folder_without_weights_is_refused(model_config, tmp_path):
    name = save_folder(tmp_path / "model", model_config)
    with pytest.raises(OSError, match=r"holds no weights .*pretrained=None for random"):
        CLIPFeaturizer(name).transform(["a.png"])


def test_a_folder_without_weights_can_be_random(model_config, tmp_path, pictures):
    name = save_folder(tmp_path / "model", model_config)
    with pytest.warns(UserWarning, match="has random weights"):
        vectors = CLIPFeaturizer(name, pretrained=None, device="cpu").transform(pictures)
    assert vectors.shape == (5, 8)


@pytest.mark.parametrize("content", [None, b"junk", b"{}", b"[1]"])
def test_a_folder_without_a_configuration_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "open_clip_config.json").write_bytes(content)
    with pytest.raises(OSError, match="cannot be read as a model configuration"):
        read_config(f"local-dir:{tmp_path}", **HUB)


def test_weights_beside_those_of_a_folder_are_refused(model_config, weights, tmp_path):
    name = save_folder(tmp_path / "model", model_config, weights)
    with pytest.raises(ValueError, match="brings its own weights"):
        locate(name, str(weights), **HUB)


def test_a_model_of_the_hub_is_found_in_the_cache(
    put_into_cache, no_network, tiny, weights, model_config, pictures, tmp_path
):
    files = {
        "open_clip_config.json": model_config,
        "open_clip_pytorch_model.bin": weights.read_bytes(),
    }
    put_into_cache(tmp_path, "owner/model", files)
    for modality, items in [("image", pictures), ("text", ["a dog"])]:
        featurizer = CLIPFeaturizer(
            "hf-hub:owner/model", modality=modality, weights_dir=tmp_path, device="cpu"
        )
        expected = CLIPFeaturizer(tiny, pretrained=weights, modality=modality, device="cpu")
        np.testing.assert_allclose(
            featurizer.transform(items), expected.transform(items), atol=1e-6
        )
    assert no_network == []


def test_a_model_of_the_hub_without_weights_in_the_cache_is_missing(
    put_into_cache, no_network, model_config, tmp_path
):
    put_into_cache(tmp_path, "owner/model", {"open_clip_config.json": model_config})
    with pytest.raises(OSError, match="'owner/model/' is not in the cache"):
        locate("hf-hub:owner/model", "openai", weights_dir=tmp_path, local_files_only=False)


@pytest.fixture
def bert(put_into_cache, tiny_config, tmp_path):
    """Configuration whose text tower is a tiny BERT that lies in a cache folder."""
    from transformers import BertConfig, BertTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "dog", "cat", "a"]
    tower = tmp_path / "tower"
    BertConfig(
        vocab_size=len(words),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=8,
    ).save_pretrained(tower)
    BertTokenizerFast(vocab={word: j for j, word in enumerate(words)}).save_pretrained(tower)
    files = {path.name: path.read_bytes() for path in tower.iterdir()}
    put_into_cache(tmp_path / "cache", "owner/bert", files)
    config = json.loads(tiny_config.read_text())
    config["text_cfg"] = {
        "hf_model_name": "owner/bert",
        "hf_tokenizer_name": "owner/bert",
        "hf_pooler_type": "mean_pooler",
        "hf_proj_type": "linear",
        "context_length": 8,
    }
    return save_folder(tmp_path / "model", json.dumps({"model_cfg": config}).encode())


def test_a_text_tower_of_transformers_is_found_in_the_cache(no_network, bert, tmp_path):
    featurizer = CLIPFeaturizer(
        bert,
        pretrained=None,
        modality="text",
        weights_dir=tmp_path / "cache",
        local_files_only=True,
        device="cpu",
    )
    with pytest.warns(UserWarning, match="random weights"):
        vectors = featurizer.transform(["a dog", "a cat", "a dog a cat a dog"])
    assert len(np.unique(vectors.round(5), axis=0)) == 3
    assert no_network == []


def test_long_texts_are_noticed_by_a_tokenizer_of_transformers(bert, tmp_path):
    hub = {"weights_dir": tmp_path / "cache", "local_files_only": True}
    tokenizer = load_tokenizer(locate(bert, None, **hub), **hub)
    exact, longer = "a dog " * 3, "a dog " * 4  # six words, the start and the end: eight tokens
    assert tokenizer([exact]).min() > 0
    featurizer = CLIPFeaturizer(bert, pretrained=None, modality="text", device="cpu", **hub)
    with (
        pytest.warns(UserWarning, match="random weights"),
        pytest.warns(UserWarning, match="1 of 2 distinct texts were cut"),
    ):
        featurizer.transform([exact, longer])


def test_a_text_tower_that_is_nowhere_is_missing(no_network, bert, tmp_path):
    for local_files_only in (True, False):
        with pytest.raises(OSError, match=r"'owner/bert/config.json' is not in the cache folder"):
            locate(bert, None, weights_dir=tmp_path / "other", local_files_only=local_files_only)


def test_a_tokenizer_that_is_nowhere_is_missing(bert, tmp_path):
    located = locate(bert, None, weights_dir=tmp_path / "cache", local_files_only=True)
    with pytest.raises(OSError, match="'owner/bert' is not in the cache folder"):
        load_tokenizer(located, weights_dir=tmp_path / "other", local_files_only=True)


def test_a_model_is_in_evaluation_mode(tiny, weights):
    model, _ = load_model(locate(tiny, weights, **HUB), "cpu")
    assert not any(module.training for module in model.modules())


@pytest.mark.parametrize(
    ("name", "differs"),
    [("ViT-B-32", False), ("ViT-B-16", False), ("ViT-B-16-SigLIP2", True), ("ViT-L-14", True)],
)
def test_a_bare_file_of_weights_may_need_other_preprocessing(tmp_path, name, differs):
    path = tmp_path / "weights.pt"
    path.touch()
    assert bool(differs_from_tags(locate(name, path, **HUB))) == differs


def test_a_tag_a_folder_and_random_weights_bring_their_preprocessing(
    put_into_cache, open_clip, model_config, weights, tmp_path
):
    folder = save_folder(tmp_path / "model", model_config, weights)
    repo = open_clip.get_pretrained_cfg("ViT-B-16-SigLIP", "webli")["hf_hub"].strip("/")
    put_into_cache(tmp_path, repo, {"open_clip_model.safetensors": b""})
    hub = {"weights_dir": tmp_path, "local_files_only": True}
    assert differs_from_tags(locate("ViT-B-16-SigLIP", "webli", **hub)) is None
    assert differs_from_tags(locate(folder, "openai", **hub)) is None
    assert differs_from_tags(locate("ViT-L-14", None, **hub)) is None


def test_images_under_doubtful_preprocessing_are_warned_of(
    monkeypatch, open_clip, tiny, weights, pictures
):
    monkeypatch.setattr(open_clip, "list_pretrained_tags_by_model", lambda _: ["usual", "other"])
    known = {"usual": {"mean": (0.48145466, 0.4578275, 0.40821073)}, "other": {"mean": (0, 0, 0)}}
    tags = lambda _, tag: known.get(tag, {})  # noqa: E731
    monkeypatch.setattr(open_clip, "get_pretrained_cfg", tags)
    featurizer = CLIPFeaturizer(tiny, pretrained=weights, device="cpu")
    with pytest.warns(UserWarning, match=r"tiny.pt' does not contain .*tag 'other'.*local-dir:"):
        featurizer.transform(pictures)
    featurizer.set_params(modality="text").transform(["a dog"])


def test_it_works_in_a_grid_search_of_two_processes(model_config, weights, pictures, tmp_path):
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import Pipeline

    name = save_folder(tmp_path / "model", model_config, weights)
    pipeline = Pipeline(
        [("clip", CLIPFeaturizer(name, device="cpu")), ("classifier", LogisticRegression())]
    )
    grid = {"clip__batch_size": [1, 4]}
    scores = []
    for n_jobs in (1, 2):
        search = GridSearchCV(pipeline, grid, cv=2, n_jobs=n_jobs, error_score="raise")
        search.fit([np.asarray(picture) for picture in pictures * 2], [0, 1, 0, 1, 1] * 2)
        scores.append(search.cv_results_["mean_test_score"])
    np.testing.assert_array_equal(*scores)
