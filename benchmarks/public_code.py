"""Hashers compared with the public code of their methods: seconds per epoch, and quality.

The repositories are not part of this project: clone comrados/jdsh (JDSH and DJSRH; f7fe79d) and
Atmegal/DGCPN (9f62c56), and pass the paths of the clones. Their files are run unchanged. Imports
that are not needed here (plots, pictures, data sets) are replaced by empty modules, and ``cuda()``
by a function that does nothing, so that training runs on the CPU.

*Seconds*: 5,000 pairs of 512 + 1,386 features, 64 bits, batches of 32, hidden width 4,096,
stochastic gradient descent with momentum, one thread, CPU seconds of the process; then this
library's defaults. Public code and this library take turns.

*Quality* (``--on``): mean average precision over all ranks, image to text and text to image, ties
in expectation, for the codes of the last epoch, on the collections of ``_collection.py``. Raw
features of each modality are divided by the mean norm of a row. The public code uses hidden width
1,024 and ``--epochs``; this library uses its defaults.

Run it with ``OMP_NUM_THREADS=1 python benchmarks/public_code.py --jdsh FOLDER --dgcpn FOLDER [--on
wiki clip-like --seeds 3]``.
"""

import argparse
import importlib
import io
import logging
import subprocess
import sys
import tarfile
import tempfile
import time
import types
from pathlib import Path

import numpy as np
import torch
from _collection import collect
from _quality import both_directions, show
from _timing import header, line, speedup, turns
from train import N_BITS, N_IMAGE, make_pairs, seconds_an_epoch

from skhash import hashing

BATCH, WIDTH = 32, 4096
NOT_NEEDED = ("seaborn", "h5py", "torchvision", "datasets", "args", "load_data", "metric", "utils")


class Empty(types.ModuleType):
    """A module that has every name, for what a repository imports and does not need."""

    def __call__(self, *args, **kwargs):
        """Return itself, whatever is asked."""
        return self

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Empty(name)


def load(folder, name):
    """Import a module of a clone's last commit, and print which commit that is."""
    git = ["git", "-C", str(folder)]
    commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, check=True, text=True)
    print(f"{name} of {folder.resolve().parent.name}: {commit.stdout[:12]}")
    files = subprocess.run([*git, "archive", "HEAD", "*.py"], capture_output=True, check=True)
    target = tempfile.mkdtemp()
    with tarfile.open(fileobj=io.BytesIO(files.stdout)) as archive:
        archive.extractall(target, filter="data")
    sys.path.insert(0, target)
    sys.modules.pop("models", None)  # both repositories have one
    for other in NOT_NEEDED:
        sys.modules[other] = Empty(other)
    torch.nn.Module.cuda = torch.Tensor.cuda = lambda self, *args, **kwargs: self
    vars(np)["int"] = int  # an alias that NumPy has dropped
    module = importlib.import_module(name)
    sys.path.remove(target)
    return module


class Rows(torch.utils.data.Dataset):
    """Pairs in the order of fields that a repository reads."""

    def __init__(self, image, text, fields):
        self.image, self.text, self.fields = image, text, fields

    def __len__(self):
        return len(self.image)

    def __getitem__(self, row):
        label = torch.ones(1)
        values = {"image": self.image[row], "text": self.text[row], "label": label, "row": row}
        return tuple(values[field] for field in self.fields)


def loader(image, text, fields, *, drop_last=False):
    rows = Rows(image, text, fields)
    return torch.utils.data.DataLoader(rows, BATCH, shuffle=True, drop_last=drop_last)


def sgd(network, rate):
    return torch.optim.SGD(network.parameters(), lr=rate, momentum=0.9, weight_decay=5e-4)


class JDSH:
    """Training of comrados/jdsh, with the weights that it gives for its own features."""

    def __init__(self, module, image, text, n_bits, width, model="JDSH"):
        settings = {"alpha": 0.2, "beta": 0.4, "lamb": 0.4, "mu": 1.5, "INTRA": 0.1}
        settings |= {"LOC_LEFT": -0.47, "SCALE_LEFT": 0.081, "LOC_RIGHT": -0.47, "ALPHA": 2}
        settings |= {"SCALE_RIGHT": 0.1, "MIN": -0.64, "MAX": 0.75, "L1": 0.3, "L2": 0.3}
        if model == "DJSRH":
            settings |= {"BETA": 0.6, "ETA": 0.4, "MU": 1.5, "LAMBDA1": 0.1, "LAMBDA2": 0.1}
        else:
            settings |= {"BETA": 4}
        self.session = session = module.JointController.__new__(module.JointController)
        session.cfg = types.SimpleNamespace(MODEL=model, BATCH_SIZE=BATCH, NUM_EPOCH=0, **settings)
        session.logger = logging.getLogger("public")
        session.train_loader = loader(
            image, text, ("image", "text", "label", "label", "row"), drop_last=True
        )
        session.ImgNet = module.ImgNetRS(n_bits, image.shape[1], width)
        session.TxtNet = module.TxtNetRS(n_bits, text.shape[1], width)
        session.opt_I, session.opt_T = sgd(session.ImgNet, 0.01), sgd(session.TxtNet, 0.01)
        self.epoch = 0

    def train(self):
        """Train for an epoch."""
        self.epoch += 1  # epoch 0 draws a picture
        self.session.train(self.epoch)

    def encode(self, image, text):
        """Return the real codes of both blocks."""
        networks = self.session.ImgNet.eval(), self.session.TxtNet.eval()
        return networks[0](image)[2], networks[1](text)


class DGCPN:
    """Training of Atmegal/DGCPN, with a scale that follows the number of neighbours."""

    def __init__(self, module, image, text, n_bits, width):
        n_neighbors = min(2000, len(image) // 4)
        self.session = session = module.Session.__new__(module.Session)
        session.opt = types.SimpleNamespace(
            a1=0.5, a2=0.3, knn_number=len(image) - n_neighbors, scale=2 * n_neighbors, K=1.5,
            dw=1, cw=1, num_epochs=0, batch_size=BATCH,
        )  # fmt: skip
        session.logger = logging.getLogger("public")
        session.gs = session.cal_similarity(torch.tensor(image), torch.tensor(text))[0]
        session.train_loader = loader(image, text, ("image", "text", "label", "row"))
        session.CodeNet_I = network = module.ImgNet(n_bits, text.shape[1])
        network.fc1 = torch.nn.Linear(image.shape[1], width)
        session.CodeNet_T = module.TxtNet(n_bits, text.shape[1])
        session.CodeNet_T.fc1 = torch.nn.Linear(text.shape[1], width)
        for code in (session.CodeNet_I, session.CodeNet_T):
            code.fc_encode = torch.nn.Linear(width, n_bits)
        session.opt_I, session.opt_T = sgd(network, 0.005), sgd(session.CodeNet_T, 0.005)

    def train(self):
        """Train for an epoch."""
        self.session.train(0)

    def encode(self, image, text):
        """Return the real codes of both blocks."""
        networks = self.session.CodeNet_I.eval(), self.session.CodeNet_T.eval()
        return tuple(network(x)[1] for network, x in zip(networks, (image, text), strict=True))


def public_codes(public):
    """Return what encodes pairs by a trained session, for blocks of n_image and other columns."""

    def encode(X, n_image, scales):
        blocks = X[:, :n_image] / scales[0], X[:, n_image:] / scales[1]
        with torch.no_grad():
            codes = public.encode(*(torch.from_numpy(block) for block in blocks))
        return np.hstack([code.numpy() >= 0 for code in codes])

    return encode


def seconds(train):
    """Return the CPU seconds of a call."""
    started = time.process_time()
    train()
    return time.process_time() - started


def compare_seconds(methods, rounds):
    X = make_pairs(5000)
    blocks = X[:, :N_IMAGE].copy(), X[:, N_IMAGE:].copy()
    same = {"optimizer": "sgd", "learning_rate": 1e-3, "init": "random"}
    same |= {"batch_size": BATCH, "hidden_units": WIDTH}
    for name, (public, ours) in methods.items():
        torch.manual_seed(0)
        session = public(*blocks, N_BITS, WIDTH)
        session.train()  # the first epoch also allocates
        contenders = {
            "public": lambda session=session: seconds(session.train),
            "ours, same": lambda ours=ours: seconds_an_epoch(X, ours, **same),
            "ours, defaults": lambda ours=ours: seconds_an_epoch(X, ours),
        }
        spent = {key: np.empty(rounds) for key in contenders}
        for number, key in turns(contenders, rounds):
            spent[key][number] = contenders[key]()
        for key, values in spent.items():
            ratio = speedup(values, spent["public"])[1]
            line(f"{name}, {key}", f"{np.median(values):.2f} s", f"{ratio} of public")


def compare_quality(methods, names, n_bits, n_seeds, epochs):
    for name in names:
        collections = [next(collect([name], seed)) for seed in range(n_seeds)]
        for method, (public, ours) in methods.items():
            found = {"public": [], "ours": []}
            for seed, c in enumerate(collections):
                torch.manual_seed(seed)
                blocks = [np.ascontiguousarray(b) for b in np.split(c.train, [c.n_image], axis=1)]
                scales = [np.linalg.norm(b, axis=1).mean() for b in blocks]
                scaled = [b / s for b, s in zip(blocks, scales, strict=True)]
                session = public(*scaled, n_bits, 1024)
                for _ in range(epochs):
                    session.train()
                encode = public_codes(session)
                found["public"].append(
                    both_directions(lambda X: encode(X, c.n_image, scales), c)  # noqa: B023
                )
                hasher = ours(n_bits, n_image_features=c.n_image, random_state=seed).fit(c.train)
                found["ours"].append(both_directions(hasher.transform, c))
            for key, rows in found.items():
                show(f"{collections[0].name}, {n_bits} bits", f"{method}, {key}", rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jdsh", type=Path, help="a clone of comrados/jdsh")
    parser.add_argument("--dgcpn", type=Path, help="a clone of Atmegal/DGCPN")
    parser.add_argument("--on", nargs="*", default=[], help="collections to measure quality on")
    parser.add_argument("--bits", type=int, default=32)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(__doc__)
    header("numpy", "torch", "scikit-learn")
    methods = {}
    if options.jdsh:
        module = load(options.jdsh, "joint_controller")
        for model in ("JDSH", "DJSRH"):
            ours = getattr(hashing, f"{model}Hasher")
            methods[model] = (lambda *a, m=model: JDSH(module, *a, model=m)), ours
    if options.dgcpn:
        dgcpn = load(options.dgcpn, "train_div")
        methods["DGCPN"] = (lambda *a: DGCPN(dgcpn, *a)), hashing.DGCPNHasher
    if options.on:
        compare_quality(methods, options.on, options.bits, options.seeds, options.epochs)
    else:
        compare_seconds(methods, options.rounds)


if __name__ == "__main__":
    main()
