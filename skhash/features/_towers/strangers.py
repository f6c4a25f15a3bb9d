"""Folders of models from untrusted sources: checked, and their code never run.

``save_pretrained`` adds an entry ``sha256`` to ``open_clip_config.json``, which open_clip passes
by: the SHA-256 of each file of the folder by name, and under the name of ``open_clip_config.json``
that of the object itself without this entry, as JSON in ASCII with sorted keys and without spaces.
"""

import json
from contextlib import contextmanager
from functools import lru_cache
from hashlib import file_digest, sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from ..._files import regular, restore
from ..._libraries import import_optional

CONFIG = "open_clip_config.json"
# What open_clip takes itself. All else would go to transformers, and may make it run code.
_SIMPLE_OPTIONS = ("additional_special_tokens", "clean")
_TRANSFORMERS_OPTIONS = ("clean", "language", "strip_sep_token")


def read_document(folder, *, whole=False):
    """Read ``open_clip_config.json``.

    Parameters
    ----------
    folder : str or os.PathLike
        The folder.
    whole : bool, default=False
        Whether to compare all files with their checksums, where there are any.

    Returns
    -------
    dict
        The object in the file.

    Raises
    ------
    OSError
        If there is no such file, or it is no configuration of open_clip.
    ValueError
        If a checksum does not fit.
    """
    folder, before = Path(folder), None
    restore(folder.absolute())
    while True:
        document = _parse(folder / CONFIG)
        try:
            if "sha256" in document:
                _check(folder, document, whole)
        except ValueError:
            if document == before:
                raise
            before = document  # a save may have replaced the folder in between
        else:
            return document


def _parse(path):
    try:
        with regular(path) as file:
            document = json.loads(file.read())
        for other in path.parent.iterdir():  # other libraries would open them
            if other.exists() and not (other.is_file() or other.is_dir()):
                raise ValueError(f"{other} is not a regular file")
        model = document["model_cfg"]
        if not all(isinstance(model[name], dict) for name in ("vision_cfg", "text_cfg")):
            raise TypeError("vision_cfg and text_cfg must be objects")
        if type(model["embed_dim"]) is not int:
            raise TypeError("embed_dim must be an integer")
        if ":" in str(model["vision_cfg"].get("timm_model_name")):
            raise ValueError("timm_model_name must not name a model on a hub")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise OSError(
            f"{str(path)!r} cannot be read as a model configuration of open_clip "
            f"({type(error).__name__}: {error}): give a folder that open_clip has saved."
        ) from error
    return document


def _check(folder, document, whole):
    sums = document["sha256"]
    if not isinstance(sums, dict) or sums.get(CONFIG) != checksum(document):
        raise ValueError(
            f"{str(folder / CONFIG)!r} is damaged or was changed: save the model again, or, if you "
            "have changed it yourself, delete its entry 'sha256'."
        )
    for name in sums.keys() - {CONFIG} if whole else ():
        path = folder / name
        if Path(name).name != name:
            raise ValueError(
                f"{str(folder / CONFIG)!r} refers to a file in another folder, {name!r}."
            )
        # A cache of downloads may lack files that are not needed.
        if path.exists() and _digest(path, stamp([path])) != sums[name]:
            raise ValueError(f"{str(path)!r} is damaged or was changed: save the model again.")


def checksum(document):
    """Return the checksum of ``open_clip_config.json``, which covers those of all other files."""
    sums = {name: value for name, value in document["sha256"].items() if name != CONFIG}
    text = json.dumps({**document, "sha256": sums}, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode("ascii")).hexdigest()


@lru_cache(maxsize=64)
def _digest(path, _stamp):
    """Hash a file; once in a process, while its stamp is the same."""
    return digest(path)


def digest(path):
    """Return the SHA-256 of a regular file."""
    with regular(path) as file:
        return file_digest(file, "sha256").hexdigest()


def stamp(paths):
    """Tell files that were written again from what they were: names, sizes and times."""
    return tuple((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in paths)


def own_folder(name, file):
    """Return the folder of a ``local-dir:`` name if it holds the file."""
    scheme, _, place = name.partition(":")
    return place if scheme == "local-dir" and (Path(place) / file).is_file() else None


def tokenizer_options(text):
    """Return the options of a tokenizer that are known, and the names of the others."""
    options = text.get("tokenizer_kwargs") or {}
    names = _TRANSFORMERS_OPTIONS if text.get("hf_tokenizer_name") else _SIMPLE_OPTIONS
    known = {name: value for name, value in options.items() if name in names}
    return known, sorted(options.keys() - known.keys())


def without_code(content):
    """Return a JSON file of transformers without what makes it load code.

    Parameters
    ----------
    content : bytes
        The content of ``config.json`` or ``tokenizer_config.json``.

    Returns
    -------
    bytes
        The content without the entries, at any depth, that name Python files (``auto_map``) or
        kernels of a hub (``attn_implementation``, ...).

    Raises
    ------
    ValueError
        If it is of a model that cannot be built without its own code.
    """

    def cleaned(entries):
        return {
            key: value
            for key, value in entries.items()
            if key != "auto_map" and "implementation" not in key
        }

    config = json.loads(content, object_hook=cleaned)
    if b"auto_map" in content and "model_type" in config:
        transformers = import_optional(
            "transformers", extra="transformers", purpose="the text encoder of a model"
        )
        if config["model_type"] not in transformers.CONFIG_MAPPING:
            raise ValueError(
                f"the text encoder {config['model_type']!r} needs Python code of its own, which "
                "skhash never runs: choose a model of a type that transformers knows."
            )
    return json.dumps(config, indent=2).encode()


@contextmanager
def code_free(folder):
    """Give a temporary folder with the ``config.json`` of a text encoder, without code."""
    with regular(Path(folder) / "config.json") as file:
        content = without_code(file.read())
    with TemporaryDirectory() as temporary:
        Path(temporary, "config.json").write_bytes(content)
        yield temporary
