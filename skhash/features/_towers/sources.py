"""Build encoders: from parameters, a model of open_clip, or one network a modality."""

import json
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..._inputs.messages import shorten
from ..._libraries import import_optional, import_with_torchvision
from ..._torch.generator import seeded
from .folder import HERE
from .models import did_you_mean, fetch, load_model, locate, read_config, root_cause
from .small import small_config
from .tokens import from_disk_first, load_tokenizer
from .towers import rebuild_towers

_BRINGS_WEIGHTS = ("local-dir:", "hf-hub:")
_PREPROCESS = ("mean", "std", "interpolation", "resize_mode", "fill_color")


def build_towers(
    towers, captions=None, *, seed=0, small: Any = None, weights_dir=None, local_files_only=False
):
    """Build encoders to be trained.

    Parameters
    ----------
    towers : str or tuple of (str, str or None)
        ``"small"``; a model of open_clip; or an image encoder of timm and a text encoder of
        transformers, such as ``("vit_small_patch16_224", "bert-base-uncased")``, each with its own
        weights. A model of open_clip is named as in `CLIPFeaturizer`, in a tuple with its tag or
        file of weights. Alone, one of a folder or a hub brings its weights, and any other has
        random ones. Where open_clip and timm share a name, ``"timm/<name>"`` means timm's.
    captions : list of str, default=None
        Texts that ``"small"`` learns its words from.
    seed : int, default=0
        Seed of random weights. The global generator of torch stays as it is.
    small : dict, default=None
        All parameters of `small_config` beside the captions, for ``"small"``.
    weights_dir, local_files_only
        As in `CLIPFeaturizer`.

    Returns
    -------
    Towers
        The towers, on the CPU.

    Raises
    ------
    ValueError
        If the towers are unknown, a parameter does not suit them, or weights do not fit.
    TypeError
        If `towers` is neither a str nor a tuple of two.
    OSError
        If weights are neither on this disk nor to be had.
    """
    hub = {"weights_dir": weights_dir, "local_files_only": bool(local_files_only)}
    if isinstance(towers, str) and towers == "small":
        return rebuild_towers(small_config(captions, **small), seed=seed)
    alone = isinstance(towers, str)
    if not alone and not (isinstance(towers, (tuple, list)) and len(towers) == 2):
        raise TypeError(
            "towers must be 'small', the name of a model, or a tuple of two: a model and its "
            f"weights, or an image encoder and a text encoder, got {shorten(towers)}."
        )
    name, second = (towers, None) if alone else towers
    brings_weights = name.startswith(_BRINGS_WEIGHTS)
    names = import_with_torchvision("open_clip").list_models()
    if brings_weights or name.replace("/", "-") in names:
        pretrained = "openai" if alone and brings_weights else second
        return _of_open_clip(name, pretrained, seed, hub)
    if alone:
        raise _unknown(name, ["small", *names])
    return _of_two(name, second, seed, hub)


def _unknown(name, names):
    return ValueError(
        "towers must be 'small', a model of open_clip, or an image encoder of timm and a text "
        f"encoder of transformers, got {name!r}: {did_you_mean(name, names)}"
    )


def _of_open_clip(name, pretrained, seed, hub):
    convert = import_with_torchvision("open_clip.model").convert_to_custom_text_state_dict
    located = locate(name, pretrained, **hub)
    model_cfg = json.loads(located.config)
    if "multimodal_cfg" in model_cfg:
        raise ValueError(
            f"{name!r} is more than two encoders, it writes captions too: choose another model."
        )
    model_cfg["custom_text"] = True
    model_cfg["quick_gelu"] = located.quick_gelu or model_cfg.get("quick_gelu", False)
    state, preprocess = None, {}
    if located.weights is not None:
        # Not the cached function: what is copied here need not be kept.
        model, _ = load_model.__wrapped__(located, "cpu")
        state, preprocess = convert(model.state_dict()), model.visual.preprocess_cfg
    text, files = model_cfg["text_cfg"], {}
    if "hf_model_name" in text:
        files["config.json"] = (Path(text["hf_model_name"]) / "config.json").read_bytes()
        text["hf_model_name"] = _portable(read_config(name, **hub)[1]["text_cfg"]["hf_model_name"])
    if "hf_tokenizer_name" in text:
        files.update(_files_of(load_tokenizer(located, **hub)))
    towers = rebuild_towers(_config(model_cfg, preprocess, files), seed=seed)
    if state is not None:
        towers.model.load_state_dict(state)
    return towers


def _of_two(image, text, seed, hub):
    with seeded(seed):  # both libraries draw weights before they read them
        trunk, seen = _load_image_tower(image.removeprefix("timm/"), hub)
        transformer, tokenizer = _load_text_tower(text, hub)
    model_cfg = {
        "embed_dim": 256,
        "custom_text": True,
        "vision_cfg": {
            "timm_model_name": image.removeprefix("timm/"),
            "timm_model_pretrained": False,
            "timm_pool": "",
            "timm_proj": "linear",
            "image_size": seen.input_size[-1],
        },
        "text_cfg": {
            "hf_model_name": _portable(text),
            "hf_tokenizer_name": _portable(text),
            "hf_model_pretrained": False,
            "hf_pooler_type": "mean_pooler",
            "hf_proj_type": "linear",
            "context_length": min(64, transformer.config.max_position_embeddings),
        },
    }
    preprocess = {"mean": seen.mean, "std": seen.std, "interpolation": seen.interpolation}
    files = {"config.json": transformer.config.to_json_string().encode(), **_files_of(tokenizer)}
    towers = rebuild_towers(_config(model_cfg, preprocess, files), seed=seed)
    towers.model.visual.trunk.load_state_dict(trunk.state_dict())
    # A pooler may be left over: the mean over the words takes its place.
    towers.model.text.transformer.load_state_dict(transformer.state_dict(), strict=False)
    return towers


def _load_image_tower(name, hub):
    timm = import_with_torchvision("timm")
    if not timm.is_model(name):
        raise _unknown(name, timm.list_models())
    seen = timm.get_pretrained_cfg(name)
    if seen is None or not seen.hf_hub_id:
        raise ValueError(f"timm has no weights for {name!r}: choose a model that has.")
    path = fetch(f"{seen.hf_hub_id}/model.safetensors", **hub)
    weights = {"file": str(path), "custom_load": False}
    trunk = timm.create_model(name, pretrained=True, num_classes=0, pretrained_cfg_overlay=weights)
    return trunk, seen


def _load_text_tower(name, hub):
    transformers = import_optional(
        "transformers", extra="transformers", purpose=f"the text encoder {name!r}"
    )

    def load(local_files_only):
        options = {"cache_dir": hub["weights_dir"], "local_files_only": local_files_only}
        model = transformers.AutoModel.from_pretrained(
            name,
            trust_remote_code=False,
            # Given, since the configuration may name a kernel on a hub, which is code.
            attn_implementation="eager",
            **options,
        )
        return model, transformers.AutoTokenizer.from_pretrained(
            name, trust_remote_code=False, **options
        )

    try:
        return from_disk_first(load, hub["local_files_only"])
    except (OSError, ValueError) as error:
        if "trust_remote_code" in str(error):
            raise ValueError(
                f"the text encoder {name!r} needs Python code of its own, which skhash never runs: "
                "choose one that transformers knows."
            ) from error
        raise OSError(
            f"the text encoder {name!r} is not on this disk and could not be fetched "
            f"({root_cause(error)}): fetch it once while online, give a folder that transformers "
            "has saved, or set towers='small'."
        ) from error


def _portable(name):
    """Return a name on a hub as it is; a folder of this machine is saved with the encoders."""
    return HERE if Path(name).is_absolute() or Path(name).is_dir() else name


def _files_of(tokenizer):
    with TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def _config(model_cfg, preprocess, files):
    default = asdict(import_with_torchvision("open_clip.transform").PreprocessCfg())
    known = {**default, **preprocess}
    preprocess_cfg = {key: known[key] for key in _PREPROCESS}
    return {"model_cfg": model_cfg, "preprocess_cfg": preprocess_cfg, "files": files}
