"""What a stranger may put into the folder of a model."""

import json
import os

import numpy as np
import pytest

from skhash._torch.weights import to_numpy
from skhash.features import CLIPFeaturizer
from skhash.features._towers.folder import save_towers
from skhash.features._towers.sources import _load_text_tower, build_towers
from skhash.features._towers.strangers import read_document, without_code

CODE = """
from pathlib import Path

Path({marker!r}).touch()
from transformers import BertConfig, BertModel, BertTokenizerFast

class Config(BertConfig):
    pass

class Model(BertModel):
    pass

class Tokenizer(BertTokenizerFast):
    pass
"""
AUTO_MAP = {
    "AutoConfig": "code.Config",
    "AutoModel": "code.Model",
    "AutoTokenizer": ["code.Tokenizer", "code.Tokenizer"],
}
TEXT = {
    "hf_model_name": "nowhere/bert",
    "hf_tokenizer_name": "nowhere/bert",
    "hf_pooler_type": "mean_pooler",
    "hf_proj_type": "linear",
    "context_length": 8,
}
HUB = {"weights_dir": None, "local_files_only": True}


def change(path, **entries):
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


@pytest.fixture
def marker(tmp_path, monkeypatch):
    """Path of a file that exists once the folder's code was run."""
    from transformers import dynamic_module_utils

    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr("builtins.input", lambda *_: "y")  # somebody says yes to everything
    return tmp_path / "marker"


@pytest.fixture
def harmful(tiny_config, marker, tmp_path):
    """Folder with a tiny BERT whose configurations name a Python file, which makes the marker."""
    from transformers import BertConfig, BertTokenizerFast

    folder = tmp_path / "harmful"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "dog", "cat", "a"]
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    BertConfig(vocab_size=len(words), intermediate_size=8, **sizes).save_pretrained(folder)
    BertTokenizerFast(vocab={word: j for j, word in enumerate(words)}).save_pretrained(folder)
    (folder / "code.py").write_text(CODE.format(marker=str(marker)))
    for name in ("config.json", "tokenizer_config.json"):
        change(folder / name, auto_map=AUTO_MAP)
    model = json.loads(tiny_config.read_text())
    model["text_cfg"] = TEXT | {"tokenizer_kwargs": {"trust_remote_code": True, "clean": "lower"}}
    config = {"model_cfg": model, "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return folder


def through_clip(folder):
    return CLIPFeaturizer(
        f"local-dir:{folder}", pretrained=None, modality="text", device="cpu"
    ).transform(["a dog", "a cat"])


def through_contrastive(folder):
    towers = build_towers(f"local-dir:{folder}", **HUB)
    return towers.encode_texts(towers.read_texts(["a dog", "a cat"]))


@pytest.fixture
def with_weights(open_clip, harmful):
    """Put weights into the folder, which a contrastive start needs."""
    import torch

    text = TEXT | {"hf_model_name": str(harmful), "hf_model_pretrained": False}
    config = json.loads((harmful / "open_clip_config.json").read_text())["model_cfg"]
    model = open_clip.CustomTextCLIP(**{**config, "text_cfg": text})
    torch.save(model.state_dict(), harmful / "open_clip_pytorch_model.bin")
    return harmful


def test_the_code_of_the_folder_would_be_run_if_it_were_trusted(open_clip, harmful, marker):
    open_clip.tokenizer.HFTokenizer(str(harmful), trust_remote_code=True)
    assert marker.exists()


@pytest.mark.filterwarnings("ignore:.*has random weights")
def test_the_code_of_a_folder_is_never_run(harmful, marker):
    with pytest.warns(UserWarning, match=r"ignored \(trust_remote_code\).*code that comes with a"):
        assert len(np.unique(through_clip(harmful), axis=0)) == 2
    assert not marker.exists()


def test_training_from_a_folder_never_runs_its_code(with_weights, marker, tmp_path):
    with pytest.warns(UserWarning, match=r"ignored \(trust_remote_code\)"):
        towers = build_towers(f"local-dir:{with_weights}", **HUB)
    save_towers(tmp_path / "saved", towers.config, to_numpy(towers.model))
    assert not marker.exists()
    for path in (tmp_path / "saved").glob("*.json"):
        assert "auto_map" not in path.read_text()
        assert "trust_remote_code" not in path.read_text()


@pytest.mark.filterwarnings("ignore:.*has random weights")
@pytest.mark.filterwarnings("ignore:.*tokenizer_kwargs")
def test_the_code_of_a_model_of_a_hub_is_never_run(put_into_cache, harmful, marker, tmp_path):
    files = {path.name: path.read_bytes() for path in harmful.iterdir()}
    put_into_cache(tmp_path, "owner/model", files)
    vectors = CLIPFeaturizer(
        "hf-hub:owner/model",
        pretrained=None,
        modality="text",
        weights_dir=tmp_path,
        local_files_only=True,
        device="cpu",
    ).transform(["a dog"])
    assert np.isfinite(vectors).all()
    assert not marker.exists()


def needs_encoder(folder):
    """Let no text encoder of transformers be right for the folder."""
    change(folder / "config.json", model_type="other")


def needs_tokenizer(folder):
    """Let no tokenizer of transformers be right: the encoder is known, but in another folder."""
    config = folder / "open_clip_config.json"
    document = json.loads(config.read_text())
    document["model_cfg"]["text_cfg"]["hf_model_name"] = str(folder.parent / "encoder")
    config.write_text(json.dumps(document))
    (folder.parent / "encoder").mkdir()
    (folder / "config.json").rename(folder.parent / "encoder" / "config.json")
    change(folder / "tokenizer_config.json", tokenizer_class="Other")


@pytest.mark.filterwarnings("ignore:.*has random weights")
@pytest.mark.filterwarnings("ignore:.*tokenizer_kwargs")
@pytest.mark.parametrize("needs", [needs_encoder, needs_tokenizer])
@pytest.mark.parametrize("load", [through_clip, through_contrastive])
def test_what_needs_its_own_code_is_refused(with_weights, marker, needs, load):
    needs(with_weights)
    with pytest.raises(ValueError, match="needs Python code of its own, which skhash never runs"):
        load(with_weights)
    assert not marker.exists()


def test_a_text_encoder_that_needs_its_own_code_is_refused(open_clip, harmful, marker):
    from transformers import BertConfig, BertModel

    BertModel(BertConfig.from_pretrained(harmful)).save_pretrained(harmful)
    change(harmful / "config.json", auto_map=AUTO_MAP, model_type="other")
    with pytest.raises(ValueError, match="needs Python code of its own, which skhash never runs"):
        _load_text_tower(str(harmful), HUB)
    assert not marker.exists()


def test_kernels_of_a_hub_are_not_asked_for():
    config = {"a": {"_attn_implementation": "owner/kernel", "auto_map": 1}, "b": [{"c": 2}]}
    config |= {"attn_implementation": "owner/kernel", "experts_implementation": "owner/kernel"}
    assert json.loads(without_code(json.dumps(config).encode())) == {"a": {}, "b": [{"c": 2}]}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("name", ["open_clip_config.json", "open_clip_model.safetensors"])
def test_a_named_pipe_in_a_folder_is_refused_at_once(tmp_path, tiny_config, name):
    config = {"model_cfg": json.loads(tiny_config.read_text())}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    with pytest.raises((OSError, ValueError), match="is not a regular file"):
        CLIPFeaturizer(f"local-dir:{tmp_path}").transform(["a.png"])


@pytest.mark.parametrize(
    "model",
    [
        *({}, [], None, "text"),
        {"embed_dim": 8, "vision_cfg": {}},
        {"embed_dim": 8, "vision_cfg": {}, "text_cfg": []},
        {"embed_dim": "8", "vision_cfg": {}, "text_cfg": {}},
        {"embed_dim": True, "vision_cfg": {}, "text_cfg": {}},
    ],
    ids=str,
)
def test_a_configuration_of_other_types_is_refused(tmp_path, model):
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": model}))
    with pytest.raises(OSError, match="cannot be read as a model configuration"):
        read_document(tmp_path)


def test_a_folder_that_names_a_model_on_a_hub_is_refused(tmp_path):
    vision = {"timm_model_name": "hf-hub:somebody/something"}
    model = {"embed_dim": 8, "vision_cfg": vision, "text_cfg": {}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": model}))
    with pytest.raises(OSError, match="timm_model_name must not name a model on a hub"):
        read_document(tmp_path)
