"""Towers as a folder that open_clip loads."""

import json
import shutil
from pathlib import Path
from uuid import uuid4

from ._open_clip import CONFIG

WEIGHTS = "open_clip_model.safetensors"
# In place of a name on a hub: the files of the text tower lie beside the configuration.
HERE = "."


def write_folder(folder, config, *, place):
    """Write all but the weights.

    Parameters
    ----------
    folder : Path
        An existing folder.
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
        (folder / name).write_bytes(content)
    written = {"model_cfg": model_cfg, "preprocess_cfg": config["preprocess_cfg"]}
    (folder / CONFIG).write_text(json.dumps(written, indent=2), encoding="utf-8")
    return model_cfg


def save_towers(folder, config, state):
    """Save towers in open_clip's own format, all or nothing.

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
        If the folder holds other files.
    """
    from safetensors.numpy import save_file

    folder = Path(folder).resolve()
    ours = {CONFIG, WEIGHTS, *config["files"]}
    others = sorted({path.name for path in folder.glob("*")} - ours)
    if others:
        raise ValueError(
            f"the folder {str(folder)!r} holds other files ({', '.join(others[:3])}), which would "
            "be lost: give one that is new or empty."
        )
    partial, old = (folder.with_name(f".{folder.name}-{uuid4().hex}") for _ in range(2))
    partial.mkdir(parents=True)
    try:
        write_folder(partial, config, place=folder)
        save_file(state, partial / WEIGHTS)
        if folder.exists():
            folder.rename(old)
        partial.rename(folder)
    finally:
        for leftover in (partial, old):
            shutil.rmtree(leftover, ignore_errors=True)
