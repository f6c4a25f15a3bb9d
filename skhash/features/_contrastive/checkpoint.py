"""Checkpoints of a training run, one file that is replaced after each epoch.

The file is what ``torch.save`` writes, followed by its SHA-256, 32 bytes.
"""

import hashlib
import json
import os
from pathlib import Path

import torch

from ..._files import TEMPORARY, only_writer, regular, replaced
from ..._inputs.messages import warn
from .objective import own_rank

_PART = 1 << 20  # bytes that are hashed at once
# What may change between the beginning of a run and its end.
_FREE = ("verbose", "device", "checkpoint_dir", "weights_dir", "local_files_only", "warm_start")


class Checkpoint:
    """The checkpoint of a run; does nothing where there is no folder for it.

    Parameters
    ----------
    folder : str, path or None
        The folder.
    parameters : dict of str to object
        The featurizer's parameters by name; a run goes on with equal ones alone.
    trainer : Trainer
        The run.
    epochs : Epochs
        Its epochs, with the best weights.
    """

    def __init__(self, folder, parameters, trainer, epochs):
        self.trainer, self.epochs = trainer, epochs
        self.path, self.warned = None, False
        if folder is not None:
            self.path = Path(folder) / "contrastive.pt"
            self.run = _fingerprint(parameters, trainer)

    def resume(self):
        """Go on from the checkpoint, if there is one; return the rows of history so far."""
        if self.path is None or not self.path.exists():
            return []
        try:
            with regular(self.path) as file:
                if not _is_whole(file):
                    raise ValueError("its checksum does not fit.")
                saved = torch.load(file, map_location="cpu", weights_only=True)
            run = saved["run"]
        except Exception as error:  # torch raises many kinds on a file that is not its own
            raise ValueError(
                f"{self.path} is no checkpoint, or a damaged one: delete it, or give another "
                "checkpoint_dir."
            ) from error
        if run != self.run:
            raise ValueError(
                f"the checkpoint {self.path} is of a run with other data or parameters: delete it "
                "to begin anew, or give another checkpoint_dir."
            )
        self.trainer.resume(saved["trainer"])
        self.epochs.resume(saved["epochs"])
        return saved["rows"]

    def save(self, rows):
        """Write the checkpoint beside the old one, then replace that; warn where that fails."""
        if self.path is None or own_rank() > 0:
            return
        try:
            self._write(self.path, rows)
        except (OSError, RuntimeError) as error:
            cause: BaseException | None = error
            while not isinstance(cause, OSError | None):  # torch.save makes others of it
                cause = cause.__context__
            if cause is None:
                raise
            self._warn(cause)

    def _write(self, path, rows):
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "run": self.run,
            "rows": rows,
            "trainer": self.trainer.state(),
            "epochs": self.epochs.state(),
        }
        # Another run may write here as well: the last one that is whole stays.
        with only_writer(path.parent) as sync_folder:
            for left in path.parent.iterdir():  # by a run that was killed
                if TEMPORARY.sub("", left.name) == path.name != left.name:
                    left.unlink(missing_ok=True)
            with replaced(path) as file:
                torch.save(content, file)
                file.write(_sha256(file, file.seek(0, os.SEEK_END)))
            sync_folder()

    def _warn(self, error):
        """Warn, once, of a checkpoint that could not be written; the next epoch tries again."""
        if not self.warned:
            self.warned = True
            warn(
                f"the checkpoint {self.path} cannot be written ({type(error).__name__}: {error}): "
                "training goes on, and tries again after each epoch; free space, or make the "
                "folder writable, so that an interrupted run need not begin anew.",
            )


def _is_whole(file):
    """Say whether the checksum at the end of a file fits, and go back to its start."""
    n_bytes = max(0, file.seek(0, os.SEEK_END) - hashlib.sha256().digest_size)
    digest = _sha256(file, n_bytes)
    sound = file.read() == digest
    file.seek(0)
    return sound


def _sha256(file, n_bytes):
    """Hash the first bytes of a file, and stop behind them."""
    file.seek(0)
    digest = hashlib.sha256()
    while part := file.read(min(n_bytes, _PART)):
        digest.update(part)
        n_bytes -= len(part)
    return digest.digest()


def _fingerprint(parameters, trainer):
    """Return a checksum of the parameters, the seed, the data and the weights to begin with."""
    kept = {name: repr(value) for name, value in parameters.items() if name not in _FREE}
    kept["random_state"] = trainer.seed
    digest = hashlib.sha256(json.dumps(kept, sort_keys=True).encode())
    for tensor in (*trainer.pairs.tensors(), *trainer.objective.towers.state_dict().values()):
        digest.update(tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
