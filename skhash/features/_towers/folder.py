"""Towers as a folder that open_clip loads."""

import json
from pathlib import Path

from ..._files import replaced_folder
from .strangers import CONFIG, checksum, digest, read_document, without_code

WEIGHTS = "open_clip_model.safetensors"
# In place of a name on a hub: the files of the text encoder lie beside the configuration.
HERE = "."


def write_folder(folder, config, *, place):
    """Write all but the weights, with checksums of all files that are there.

    Parameters
    ----------
    folder : Path
        An existing folder; empty, or with the weights.
    config : dict
        As in `Towers`.
    place : str or os.PathLike
        Where the folder is going to stand. open_clip would look for a relative path of the text
        tower in the working directory.

    Returns
    -------
    dict
        The architecture, as it was written.
    """
    model_cfg = json.loads(json.dumps(config["model_cfg"]))
    if model_cfg["text_cfg"].get("hf_model_name") == HERE:
        model_cfg["text_cfg"]["hf_model_name"] = str(place)
    for name, content in config["files"].items():
        plain = name in ("config.json", "tokenizer_config.json")
        (folder / name).write_bytes(without_code(content) if plain else content)
    document = {"model_cfg": model_cfg, "preprocess_cfg": config["preprocess_cfg"]}
    document["sha256"] = {path.name: digest(path) for path in sorted(folder.iterdir())}
    document["sha256"][CONFIG] = checksum(document)
    (folder / CONFIG).write_text(json.dumps(document, indent=2), encoding="utf-8")
    return model_cfg


def save_towers(folder, config, state):
    """Save towers in open_clip's own format, all or nothing.

    The folder is the old one or the new one at any time, even if the process is killed.

    Parameters
    ----------
    folder : str or os.PathLike
        A folder that is new or empty, or that holds saved towers, which are replaced.
    config : dict
        As in `Towers`.
    state : dict of str to ndarray
        The weights.

    Raises
    ------
    ValueError
        If it is a file or the working directory, or the folder holds anything but saved towers.
    """
    from safetensors.numpy import save_file

    folder = Path(folder).resolve()
    _check_replaceable(folder, {CONFIG, WEIGHTS, *config["files"]})
    with replaced_folder(folder) as new:
        save_file(state, new / WEIGHTS)
        write_folder(new, config, place=folder)


def _check_replaceable(folder, ours):
    """Raise an error if something would be lost with the folder."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ValueError(f"{str(folder)!r} is a file: give a folder that is new or empty.")
    here = Path.cwd()
    if folder in (here, *here.parents):
        raise ValueError(
            f"{str(folder)!r} is the working directory or holds it, and would be replaced: give "
            "another folder, for example one in it."
        )
    found = {path.name for path in folder.iterdir()}
    if not found:
        return
    try:
        ours = ours | read_document(folder).get("sha256", {}).keys()
    except (OSError, ValueError) as error:
        raise ValueError(
            f"the folder {str(folder)!r} is not empty and holds no saved model ({error}): give one "
            "that is new or empty."
        ) from error
    others = sorted(found - ours)
    if others:
        raise ValueError(
            f"the folder {str(folder)!r} holds other files ({', '.join(others[:3])}), which would "
            "be lost: give one that is new or empty."
        )
