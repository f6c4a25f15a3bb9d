"""Find and load a model of open_clip, or say why not.

Locating comes first and decides everything: where the configuration and the weights lie on this
disk, and which activation and preprocessing belong to them. What is located names the model
completely, so it is the key under which a process keeps the loaded model.
"""

import json
from contextlib import nullcontext
from dataclasses import asdict
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from ..._inputs.messages import warn
from ..._libraries import import_optional, import_with_torchvision
from ..._torch.generator import seeded
from .strangers import CONFIG, code_free, own_folder, read_document, stamp, tokenizer_options

_SUFFIXES = {".safetensors", ".bin", ".pth"}
_PREPROCESS = ("mean", "std", "interpolation", "resize_mode")
# Text encoders whose weights open_clip cannot load alone, or whose output would differ.
_JOINT = (
    *(("proj_type", "none"), ("proj_bias", True)),
    *(("embed_cls", True), ("output_tokens", True)),
)


class Located(NamedTuple):
    """All that decides a model, hashable."""

    name: str  # as open_clip takes it: a configuration, or "local-dir:<folder>"
    config: str  # json of the architecture
    weights: str | None = None  # file, or folder of a local-dir; None means random
    stamp: tuple = ()  # size and time of the weights: a file written again is another model
    transform: tuple = ()  # preprocessing that differs from open_clip's default
    quick_gelu: bool = False
    checksum: str = ""  # of all files of a folder that save_pretrained wrote

    @property
    def embed_dim(self):
        """Width of an embedding."""
        return json.loads(self.config)["embed_dim"]


def read_config(model_name, **hub):
    """Read the architecture of a model.

    Parameters
    ----------
    model_name : str
        As in `CLIPFeaturizer`.
    **hub
        `weights_dir` and `local_files_only`, as in `CLIPFeaturizer`.

    Returns
    -------
    name : str
        The name as open_clip takes it; a model of a hub becomes the folder that holds it.
    config : dict
        The architecture; ``config["embed_dim"]`` is the width of an embedding.
    """
    name, document = _read(model_name, hub)
    return name, document["model_cfg"]


def _read(model_name, hub, *, whole=False):
    scheme, _, place = model_name.partition(":")
    if scheme == "hf-hub":
        place = fetch(f"{place}/{CONFIG}", **hub).parent
    elif scheme != "local-dir":
        return _known_config(model_name)
    return f"local-dir:{place}", read_document(place, whole=whole)


def _known_config(model_name):
    open_clip = import_with_torchvision("open_clip")
    name = model_name.replace("/", "-")
    config = open_clip.get_model_config(name)
    if config is None:
        hint = did_you_mean(name, open_clip.list_models())
        raise ValueError(f"open_clip knows no model_name={model_name!r}: {hint}")
    return name, {"model_cfg": config}


def did_you_mean(name, names):
    """End the message of an unknown name with the known names that are close to it."""
    close = get_close_matches(name, names, n=3, cutoff=0.4)
    return f"did you mean {' or '.join(map(repr, close))}?" if close else "no name is like it."


def locate(model_name, pretrained, **hub):
    """Find a model and its weights, fetching what is not on this disk unless that is forbidden.

    Parameters
    ----------
    model_name : str
        As in `CLIPFeaturizer`.
    pretrained : str, os.PathLike or None
        As in `CLIPFeaturizer`.
    **hub
        `weights_dir` and `local_files_only`, as in `CLIPFeaturizer`.

    Returns
    -------
    Located
        The model.
    """
    name, document = _read(model_name, hub, whole=True)
    config = _with_local_text_tower(name, document["model_cfg"], hub)
    checksum = document.get("sha256", {}).get(CONFIG, "")
    located = Located(name, json.dumps(config), checksum=checksum)
    if pretrained is None:
        return located
    if not name.startswith("local-dir:"):
        return _with_weights(located, str(pretrained), hub)
    if pretrained != "openai":  # the default value
        raise ValueError(
            f"model_name={model_name!r} brings its own weights, got pretrained={pretrained!r} too: "
            "leave pretrained out, or set it to None for random weights."
        )
    scheme, _, place = model_name.partition(":")
    folder = Path(name.removeprefix("local-dir:"))
    if scheme == "hf-hub":
        files = [fetch(f"{place}/", **hub)]
    else:
        files = sorted(path for path in folder.glob("*") if path.suffix in _SUFFIXES)
    if not files:
        raise OSError(
            f"the folder {place!r} holds no weights ({', '.join(sorted(_SUFFIXES))}): "
            "put them there, or set pretrained=None for random weights."
        )
    return located._replace(weights=str(folder), stamp=stamp(files))


def _with_weights(located, pretrained, hub):
    open_clip = import_with_torchvision("open_clip")
    tag = open_clip.get_pretrained_cfg(located.name, pretrained)
    if tag:
        keys = [key for key in _PREPROCESS if key in tag]
        path = fetch(tag["hf_hub"], **hub)
        return located._replace(
            weights=str(path),
            stamp=stamp([path]),
            transform=tuple((f"image_{key}", tag[key]) for key in keys),
            # Weights trained with QuickGELU are wrong without it, and open_clip only warns.
            quick_gelu=tag.get("quick_gelu", False),
        )
    if not Path(pretrained).is_file():
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(located.name)) or "no tag"
        raise ValueError(
            f"pretrained={pretrained!r} is neither a file nor a tag of {located.name!r}: use a "
            f"path to weights, None for random weights, or one of its tags ({tags})."
        )
    return located._replace(weights=pretrained, stamp=stamp([Path(pretrained)]))


def _with_local_text_tower(name, config, hub):
    """Point a text encoder of transformers at local files: open_clip would ask the network."""
    text = config["text_cfg"]
    options, unknown = tokenizer_options(text)
    if unknown:
        text["tokenizer_kwargs"] = options
        warn(
            f"tokenizer_kwargs of {name!r} has options that are ignored ({', '.join(unknown)}): "
            "only those of open_clip are used, and code that comes with a model is never run.",
        )
    tower = text.get("hf_model_name")
    if tower:
        need_transformers(name)
    # A folder's own files come first: its configuration may name the place where it once stood.
    own = own_folder(name, "config.json")
    if tower and (own or not Path(tower).is_dir()):
        text["hf_model_name"] = str(own or fetch(f"{tower}/config.json", **hub).parent)
    return config


def need_transformers(name):
    import_optional("transformers", extra="transformers", purpose=f"the text encoder of {name!r}")


def check_unchanged(located):
    """Raise an error if a folder was saved again since its model was located."""
    place = located.name.removeprefix("local-dir:")
    if located.checksum and read_document(place)["sha256"][CONFIG] != located.checksum:
        raise ValueError(f"{place!r} was saved again while it was loaded: load it again.")


def fetch(address, *, weights_dir, local_files_only):
    """Return the path of a file of the hub, ``repo/name/file`` or ``repo/name/`` for weights."""
    from huggingface_hub import try_to_load_from_cache

    open_clip = import_with_torchvision("open_clip")
    repo, _, file = address.rpartition("/")
    if not file:
        files = ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"]
    elif Path(file).suffix in {".bin", ".pth"}:
        files = [str(Path(file).with_suffix(".safetensors")), file]
    else:
        files = [file]
    for candidate in files:
        found = try_to_load_from_cache(repo, candidate, cache_dir=weights_dir)
        if isinstance(found, str):
            return Path(found)
    if local_files_only:
        raise unavailable(address, weights_dir, "local_files_only=True forbids a download")
    try:
        ask_hub()
        return Path(open_clip.download_pretrained({"hf_hub": address}, cache_dir=weights_dir))
    except (OSError, RuntimeError) as error:
        raise unavailable(address, weights_dir, root_cause(error)) from error


def ask_hub():
    """Ask the hub once for anything, and raise an OSError if it does not answer.

    A download asks five times for each file that it may be, and waits longer each time.
    """
    from huggingface_hub import constants, get_session

    try:
        get_session().head(constants.ENDPOINT, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT)
    except Exception as error:  # of an HTTP library that differs between versions of the client
        raise OSError(f"{constants.ENDPOINT} does not answer") from error


def root_cause(error):
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return f"{type(error).__name__}: {error}"


def unavailable(address, weights_dir, cause):
    from huggingface_hub.constants import HF_HUB_CACHE

    hint = "" if "local_files_only" in cause else "; local_files_only=True disables downloads"
    return OSError(
        f"{address!r} is not in the cache folder {str(weights_dir or HF_HUB_CACHE)!r} and could "
        f"not be fetched ({cause}): fetch it once while online, give the path of a local copy of "
        f"the weights as pretrained, or set pretrained=None for random weights (for tests "
        f"only){hint}."
    )


@lru_cache(maxsize=2)
def load_model(located, device, compiled=False):
    """Build a model in evaluation mode and its preprocessing; the process keeps the last two.

    Parameters
    ----------
    located : Located
        What `locate` found.
    device : str
        Device of torch.
    compiled : bool, default=False
        Whether torch compiles the two encoders, at their first batch.

    Returns
    -------
    model : torch.nn.Module
        The model; its text encoder is ``model.text`` wherever open_clip can build it apart.
    preprocess : callable
        Turns a picture into a tensor of shape (3, height, width).
    """
    open_clip = import_with_torchvision("open_clip")
    options = dict(located.transform)
    text = json.loads(located.config)["text_cfg"]
    encoder = text.get("hf_model_name")
    in_folder = located.name.startswith("local-dir:")
    with (
        seeded(0),  # random weights must agree between processes
        code_free(encoder) if encoder else nullcontext() as config_folder,
    ):
        if encoder:
            own = {"hf_model_name": config_folder, "hf_model_pretrained": False}
            options["text_cfg"] = {**text, **own}
        try:
            model, _, preprocess = open_clip.create_model_and_transforms(
                located.name,
                pretrained=None if in_folder else located.weights,
                load_weights=located.weights is not None,
                force_quick_gelu=located.quick_gelu,
                force_custom_text=not any(text.get(key) == value for key, value in _JOINT),
                pretrained_text=False,
                weights_only=True,
                **options,
            )
        except Exception as error:
            # UnpicklingError, AttributeError, KeyError, SafetensorError: all mean the same.
            if located.weights is None:
                raise
            raise ValueError(
                f"the weights {located.weights!r} could not be loaded into {located.name!r} "
                f"({type(error).__name__}: {str(error)[:200]}): give a state dict of that model."
            ) from error
    check_unchanged(located)
    if located.weights is None:
        warn(
            f"{located.name!r} has random weights, because pretrained=None: its embeddings mean "
            "nothing, which is right for tests only.",
        )
    model.eval().to(device)
    if compiled:
        model.visual.compile()
        (model.text if hasattr(model, "text") else model).transformer.compile()
    return model, preprocess


def differs_from_tags(located):
    """Name a tag of the architecture whose preprocessing is not the one that is used, or None.

    A bare file of weights says nothing of its preprocessing, so that open_clip's default is used;
    the tags tell how weights of the architecture want it.
    """
    from_tag_or_folder = located.transform or located.name.startswith("local-dir:")
    if located.weights is None or from_tag_or_folder:
        return None
    open_clip = import_with_torchvision("open_clip")
    default = asdict(import_with_torchvision("open_clip.transform").PreprocessCfg())
    for tag in open_clip.list_pretrained_tags_by_model(located.name):
        known = open_clip.get_pretrained_cfg(located.name, tag)
        if any(known.get(key, default[key]) != default[key] for key in _PREPROCESS):
            return tag
    return None
