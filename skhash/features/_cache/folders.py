"""Look into a cache of features, and empty it."""

import re
from contextlib import suppress
from pathlib import Path

import pandas as pd

from .store import MANIFEST, FeatureStore, delete_shards, is_cache, read_manifest

_MODEL = re.compile(r"[0-9a-f]{32}")
_COLUMNS = ("name", "modality", "precision", "n_features", "n_items", "n_bytes")


def list_features(cache_dir):
    """List what a cache of features holds, a line for each model and way of using it.

    Parameters
    ----------
    cache_dir : str or os.PathLike
        The folder, as given to :class:`CLIPFeaturizer`.

    Returns
    -------
    DataFrame of shape (n_models, 6)
        ``name`` of the model, None if it was loaded from a folder; ``modality``; ``precision``;
        ``n_features``, the length of a vector; ``n_items``, the number of vectors; ``n_bytes``,
        their size on disk. The index, ``model``, is the name of the folder in `cache_dir` whose
        ``manifest.json`` lists everything that the vectors depend on.

    Raises
    ------
    ValueError
        If the folder is not a cache of features, or a manifest is damaged.

    Examples
    --------
    >>> from skhash.features import list_features
    >>> list_features("features").n_bytes.sum() / 1e9  # doctest: +SKIP
    2.1
    """
    lines = {}
    for folder in _models(cache_dir):
        manifest = read_manifest(folder)
        store = FeatureStore(folder.parent, manifest["fingerprint"], manifest["n_features"])
        kept = {"n_features": store.n_features, "n_items": len(store), "n_bytes": store.size}
        lines[folder.name] = manifest["fingerprint"] | kept
    frame = pd.DataFrame.from_dict(lines, orient="index").reindex(columns=list(_COLUMNS))
    return frame.rename_axis("model")


def clear_features(cache_dir, *, model=None):
    """Delete features from a cache; an empty cache stays.

    Parameters
    ----------
    cache_dir : str or os.PathLike
        The folder, as given to :class:`CLIPFeaturizer`.
    model : str, default=None
        Index in `list_features` of the model whose features are deleted. ``None`` means all models.

    Raises
    ------
    ValueError
        If the folder is not a cache of features, or does not contain this model.

    Examples
    --------
    >>> from skhash.features import clear_features
    >>> clear_features("features")  # doctest: +SKIP
    """
    folders = _models(cache_dir)
    if model is not None:
        folders = [folder for folder in folders if folder.name == model]
        if not folders:
            raise ValueError(
                f"the cache {str(cache_dir)!r} has no model {model!r}: list_features shows which "
                "there are."
            )
    else:
        folders.append(Path(cache_dir) / "files")
    for folder in folders:
        delete_shards(folder)
        (folder / MANIFEST).unlink(missing_ok=True)
        with suppress(OSError):  # it holds files that are not ours, or somebody writes
            folder.rmdir()


def _models(cache_dir):
    """Return the folders of the models in a cache."""
    cache = Path(cache_dir)
    if not is_cache(cache):
        raise ValueError(
            f"{str(cache)!r} is not a cache of features, so nothing was done: give the folder "
            "of a cache."
        )
    folders = [path for path in cache.iterdir() if _MODEL.fullmatch(path.name)]
    return sorted(folder for folder in folders if (folder / MANIFEST).is_file())
