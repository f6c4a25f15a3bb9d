"""A cache of features that survives: by content, by model, shared by processes.

A cache is a folder of

* ``CACHEDIR.TAG``, which marks it, so that programs which make backups may pass it by;
* ``files``: keys of files by path, size and times, so that a file is read once;
* for each model a folder named by the BLAKE2b of its fingerprint, with ``manifest.json`` and the
  features of the items by key.

``files`` and the features are the shards of ``shards.py``. The manifest holds ``format``,
``version``, ``written_by``, ``n_features``, ``fingerprint``, and ``sha256``, that of the manifest
without this entry, as JSON in ASCII with sorted keys and without spaces.
"""

import hashlib
import json
from contextlib import suppress
from pathlib import Path

import numpy as np

from ... import __version__
from ..._files import regular
from ..._inputs.checks import check_integer
from .files import KEY, SHARD, written
from .keys import image_keys, text_keys
from .shards import Shards

FORMAT, VERSION = "skhash.FeatureStore", 1
MANIFEST = "manifest.json"
_TAG = (  # the signature is that of the Cache Directory Tagging Specification
    b"Signature: 8a477f597d28d172789f06886806bc55\n"
    b"# This folder is a cache of features that scikit-hash made.\n"
)


class FeatureStore:
    """Features of one model, kept in a folder.

    Any number of processes may use a folder at once, each with a store of its own; threads must
    not share one. A crash or a full disk leaves what was there.

    Parameters
    ----------
    folder : str or os.PathLike
        The cache: one that is new, empty or was made by a store. Models share it.
    fingerprint : dict of str to JSON values
        All that the features depend on: names, weights, preprocessing, precision, versions, and
        ``"modality"``, ``"image"`` or ``"text"``, which says what a str is. A store reads only what
        was put under an equal fingerprint.
    n_features : int
        Length of a vector.

    Raises
    ------
    ValueError
        If the folder holds other files, or its manifest is damaged or of something else.
    TypeError
        If the fingerprint is no dict of JSON values.
    OSError
        If the cache is new and cannot be written, or cannot be read.
    """

    def __init__(self, folder, fingerprint, n_features):
        n_features = check_integer(n_features, "n_features")
        fingerprint = _as_json(fingerprint)
        self.modality = fingerprint.get("modality")
        if self.modality not in ("image", "text"):
            raise ValueError(
                "the fingerprint must hold 'modality', 'image' or 'text', got "
                f"{self.modality!r}: add it."
            )
        self.n_features = n_features
        digest = hashlib.blake2b(_canonical(fingerprint), digest_size=16)
        folder = _as_cache(folder)
        self.folder = folder / digest.hexdigest()
        _check_manifest(self.folder, fingerprint, n_features)
        self._features = Shards(self.folder, "<f4", n_features, salt=digest.digest())
        self._files = Shards(folder / "files", "u1", KEY.itemsize, salt=b"files")

    def keys(self, items):
        """Return keys of items by their content.

        Files that were read before are not read again while their path, size and times are the
        same. Equal content has one key, in whatever file it is, or as bytes.

        Parameters
        ----------
        items : list
            Texts; or images: paths, bytes of files, file objects, pictures of Pillow or arrays.

        Returns
        -------
        list of bytes or None
            Keys of 16 bytes; None for an image that cannot be read.
        """
        return text_keys(items) if self.modality == "text" else image_keys(items, self._files)

    def get(self, keys):
        """Look up what any process has put by now.

        Parameters
        ----------
        keys : list of bytes or None
            As `keys` returns them.

        Returns
        -------
        found : ndarray of shape (n_keys,), bool
            Which are there; never one that is None.
        vectors : ndarray of shape (n_keys, n_features), float32
            Their vectors; NaN for the others.
        """
        keys, valid = _as_keys(keys)
        found, vectors = self._features.get(keys)
        found &= valid
        vectors[~found] = np.nan
        return found, vectors.astype(np.float32, copy=False)

    def put(self, keys, vectors):
        """Keep vectors; they are on the disk when this returns.

        Parameters
        ----------
        keys : list of bytes or None
            As `keys` returns them; a row whose key is None is not kept.
        vectors : array-like of shape (n_keys, n_features)
            Their vectors.

        Raises
        ------
        ValueError
            If a vector is not finite or the shapes do not fit.
        OSError
            If the disk is full or may not be written to.
        """
        keys, valid = _as_keys(keys)
        with np.errstate(over="ignore"):  # infinite then, which is refused
            vectors = np.asarray(vectors).astype("<f4", copy=False)
        if vectors.shape != (len(keys), self.n_features):
            raise ValueError(
                f"vectors must have shape ({len(keys)}, {self.n_features}), one row a key, got "
                f"{vectors.shape}: give the vectors of these keys."
            )
        broken = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(broken):
            raise ValueError(
                f"row {broken[0]} of vectors is not finite, as are {len(broken)} of {len(keys)}: "
                "put only those of items that could be encoded."
            )
        self._features.put(keys[valid], vectors[valid])

    @property
    def size(self):
        """Bytes on the disk of this model's features."""
        return sum(size for _, size in self._features.files())

    def __len__(self):
        """Count the items whose features are there."""
        return len(self._features.keys())


def delete_shards(folder):
    """Delete what `Shards` wrote into a folder."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if SHARD.fullmatch(path.name) or path.suffix == ".tmp":
            with suppress(PermissionError):  # Windows keeps what is mapped
                path.unlink(missing_ok=True)


def _as_keys(keys):
    """Return keys as an array, and which are not None."""
    valid = np.array([key is not None for key in keys], dtype=bool)
    if {len(key) for key in keys if key is not None} - {KEY.itemsize}:
        raise ValueError("a key must be None or 16 bytes: give what keys() returned.")
    return np.array([key or b"" for key in keys], dtype=KEY), valid


def is_cache(folder):
    """Say whether a folder was made by a store."""
    try:
        with regular(folder / "CACHEDIR.TAG") as file:
            return file.read() == _TAG
    except (OSError, ValueError):
        return False


def _as_cache(folder):
    """Return the folder of a cache, made if there was none."""
    folder = Path(folder).absolute()
    if not is_cache(folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise ValueError(
                f"{str(folder)!r} cannot be created, because a file has its name: give another "
                "folder for the cache."
            ) from error
        others = sorted(path.name for path in folder.iterdir() if path.suffix != ".tmp")
        # Another process may have made it in between.
        if others and not is_cache(folder):
            raise ValueError(
                f"the folder {str(folder)!r} holds other files ({', '.join(others[:3])}) and is no "
                "cache of features: give one that is new or empty."
            )
        with written(folder / "CACHEDIR.TAG") as file:
            file.write(_TAG)
    return folder


def _as_json(fingerprint):
    """Return what JSON makes of a fingerprint: tuples are lists."""
    if not isinstance(fingerprint, dict):
        raise TypeError(f"the fingerprint must be a dict, got {type(fingerprint).__name__}.")
    try:
        return json.loads(_canonical(fingerprint))
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"the fingerprint must hold values of JSON only, {error}: turn others into str."
        ) from error


def _canonical(document):
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("ascii")


def _check_manifest(folder, fingerprint, n_features):
    """Check the manifest of a model's folder, or write one where there is none."""
    try:
        manifest = read_manifest(folder)
    except FileNotFoundError:
        _write_manifest(folder / MANIFEST, fingerprint, n_features)
        return
    if manifest.get("fingerprint") != fingerprint or manifest.get("n_features") != n_features:
        raise ValueError(
            f"{folder / MANIFEST} is of another model, with {manifest.get('n_features')} features "
            f"instead of {n_features} or another fingerprint: use another folder."
        )


def read_manifest(folder):
    """Read the manifest of a model's folder, or say why not."""
    path = folder / MANIFEST
    try:
        with regular(path) as file:
            manifest = json.loads(file.read())
        digest = manifest.pop("sha256")
        damaged = digest != hashlib.sha256(_canonical(manifest)).hexdigest()
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        manifest, damaged = {}, True
    if damaged or manifest.get("format") != FORMAT:
        raise ValueError(
            f"{path} is damaged or no manifest of a feature cache: delete its folder, and what it "
            "held is computed again."
        )
    if manifest.get("version") != VERSION:
        raise ValueError(
            f"{path} has version {manifest.get('version')} of the format, this release reads "
            f"version {VERSION}: use another folder."
        )
    return manifest


def _write_manifest(path, fingerprint, n_features):
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "written_by": __version__,
        "n_features": int(n_features),
        "fingerprint": fingerprint,
    }
    manifest["sha256"] = hashlib.sha256(_canonical(manifest)).hexdigest()
    path.parent.mkdir(exist_ok=True)
    with written(path) as file:
        file.write(json.dumps(manifest, indent=1).encode("ascii"))
