"""Two processes that share batches train as one does."""

import subprocess
import sys

import numpy as np
import pytest

from skhash.datasets import make_scenes
from skhash.features import ContrastiveFeaturizer

OPTIONS = {
    "image_tower": "vit",  # batch normalisation sees the rows of its own process only
    "image_size": 16,
    "patch_size": 8,
    "width": 16,
    "image_layers": 1,
    "text_layers": 1,
    "embed_dim": 8,
    "dropout": 1e-12,  # what is dropped differs from process to process
    "augment": "mild",
    "batch_size": 8,
    "group_size": 2,
    "joint_epochs": 2,
    "n_rounds": 1,
    "round_epochs": 1,
    "learning_rate": 1e-3,
    "random_state": 0,
    "device": "cpu",
}
SCRIPT = """
import os, sys
import numpy as np
from skhash.datasets import make_scenes
from skhash.features import ContrastiveFeaturizer
from skhash.features._contrastive import training
options = {options!r}
# Views are drawn by each process for its own rows: without them the two runs can be compared.
training.augment = lambda images, kind, generator: images / 255
table = make_scenes(24, image_size=16, random_state=0).frame
model = ContrastiveFeaturizer(**options).fit(table)
rank = os.environ.get("RANK", "alone")
np.savez(sys.argv[1] + f"/{{rank}}.npz", loss=model.history_["total"], **model.state_)
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    script = folder / "train.py"
    script.write_text(SCRIPT.format(options=OPTIONS))
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    for arguments in ([], torchrun):
        command = [sys.executable, "-W", "ignore", *arguments, str(script), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return {name: dict(np.load(folder / f"{name}.npz")) for name in ("alone", "0", "1")}


def test_two_processes_have_the_loss_of_one(runs):
    for rank in ("0", "1"):
        np.testing.assert_allclose(runs[rank]["loss"], runs["alone"]["loss"], rtol=1e-4)


def test_two_processes_hold_the_same_weights_and_those_of_one(runs):
    apart = []
    for name, weights in runs["alone"].items():
        if name != "loss":
            np.testing.assert_array_equal(runs["0"][name], runs["1"][name])
            apart.append(np.abs(runs["0"][name] - weights).ravel())
    apart = np.concatenate(apart)
    # AdamW makes whole steps of gradients that are nothing but rounding: few may differ, a little.
    assert np.mean(apart < 1e-5) > 0.9
    assert apart.max() < 0.01


def test_one_process_needs_no_launcher():
    table = make_scenes(24, image_size=16, random_state=0).frame
    assert len(ContrastiveFeaturizer(**OPTIONS).fit(table).history_) == 3
