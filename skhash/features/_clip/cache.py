"""The feature cache of CLIPFeaturizer: what decides an embedding, and passing by the model."""

import json
from contextlib import closing
from functools import lru_cache
from hashlib import blake2b, file_digest
from importlib.metadata import version
from pathlib import Path

import numpy as np
from sklearn.utils import gen_batches

from ..._files import regular
from .._cache.store import FeatureStore
from .._items import LazyImages, take
from .._towers.strangers import CONFIG, own_folder, stamp
from .messages import warn_of_cache

_ENCODING = 1  # to be raised when this package gives other embeddings to the same items
_LIBRARIES = ("open_clip_torch", "pillow", "torch", "torchvision")
# Parameters that change embeddings, beside those that name the model and the kind of items.
PARAMETERS = ("exif_orientation", "long_text", "normalize", "precision")
_BLOCK = 8192  # items that are looked up together


def open_cache(cache_dir, located, modality, parameters):
    """Open the part of a cache that belongs to a model and to the way it is used.

    Parameters
    ----------
    cache_dir : str or os.PathLike
        The folder.
    located : Located
        The model.
    modality : {"image", "text"}
        What the items are.
    parameters : dict of str to object
        Values by name of the other parameters that change embeddings, `PARAMETERS`.

    Returns
    -------
    FeatureStore or None
        Where the features are; None, with a warning, where the cache can be neither read nor made.
    """
    architecture = json.loads(located.config)
    text = architecture["text_cfg"]
    libraries = [*_LIBRARIES]
    if encoder := text.get("hf_model_name"):
        libraries.append("transformers")
        # The same encoder lies in another folder on another machine.
        text["hf_model_name"] = json.loads((Path(encoder) / "config.json").read_bytes())
    fingerprint = {
        "name": None if located.name.startswith("local-dir:") else located.name,
        "modality": modality,
        "architecture": architecture,
        "quick_gelu": located.quick_gelu,
        "transform": located.transform,
        "files": sorted(_digest(path, stamp([path])) for path in _files(located, modality)),
        **{name: str(parameters[name]) for name in PARAMETERS},
        # Bug-fix releases keep the features.
        "versions": {name: ".".join(version(name).split(".")[:2]) for name in libraries},
        "encoding": _ENCODING,
    }
    try:
        return FeatureStore(cache_dir, fingerprint, located.embed_dim)
    except OSError as error:
        warn_of_cache(cache_dir, error)
        return None


def _files(located, modality):
    """Return the files that decide the embeddings of a model."""
    files = set()
    if located.weights is not None:
        weights = Path(located.weights)
        in_folder = {weights / name for name, *_ in located.stamp}
        files = in_folder if weights.is_dir() else {weights}
    if folder := own_folder(located.name, CONFIG):
        files.add(Path(folder) / CONFIG)
    if modality == "text":
        name = json.loads(located.config)["text_cfg"].get("hf_tokenizer_name", "")
        folder = own_folder(located.name, "tokenizer_config.json") or name
        if folder and Path(folder).is_dir():
            suffixes = {".json", ".model", ".txt"}
            files.update(path for path in Path(folder).iterdir() if path.suffix in suffixes)
    return files


@lru_cache(maxsize=64)
def _digest(path, _stamp):
    """Hash a file; once in a process, while its stamp is the same."""
    with regular(path) as file:
        return file_digest(file, lambda: blake2b(digest_size=16)).hexdigest()


def recalled(store, items, encode):
    """Take what is in the cache, encode the rest, and keep each batch of it at once.

    Parameters
    ----------
    store : FeatureStore
        The cache.
    items : list or LazyImages
        Images or texts.
    encode : callable
        Takes some of the items and yields what is yielded here.

    Yields
    ------
    positions : list of int
        Positions in `items`.
    vectors : ndarray of shape (n_positions, n_features), float32
        Their features.
    troubles : dict of int to str
        What is to be said of some items, by position.
    """
    reads = keeps = True
    for block in gen_batches(len(items), _BLOCK):
        part = items[block]
        keys = store.keys(part) if reads else []
        found, vectors = np.zeros(len(part), dtype=bool), None
        try:
            if reads:
                found, vectors = store.get(keys)
        except OSError as error:
            warn_of_cache(store.folder.parent, error)
            reads = keeps = False
        if vectors is not None and found.any():
            yield (block.start + np.flatnonzero(found)).tolist(), vectors[found], {}
        rest = np.flatnonzero(~found).tolist()
        if not rest:
            continue
        with closing(encode(take(part, rest))) as batches:
            for positions, encoded, troubles in batches:
                rows = [rest[position] for position in positions]
                if keeps and rows:
                    keeps = _keep(store, take(part, rows), [keys[row] for row in rows], encoded)
                yield (
                    [block.start + row for row in rows],
                    encoded,
                    {block.start + rest[position]: why for position, why in troubles.items()},
                )


def _keep(store, items, keys, vectors):
    """Put vectors into the cache; say whether it takes more."""
    sound = np.isfinite(vectors).all(axis=1)
    if not isinstance(items, LazyImages):
        # A file that was written anew since its key was made is no longer what the key says.
        sound &= [key == now for key, now in zip(keys, store.keys(items), strict=True)]
    try:
        store.put([keys[row] for row in np.flatnonzero(sound)], vectors[sound])
    except OSError as error:
        warn_of_cache(store.folder.parent, error)
        return False
    return True
