"""Hashers compared with the public code of their methods: seconds per epoch, and quality.

The repositories are not part of this project: clone comrados/jdsh (JDSH and DJSRH; f7fe79d),
Atmegal/DGCPN (9f62c56) and XizeWu/CIRH (0f6439d), and pass the paths of the clones. Their files are
run unchanged. Imports that are not needed here (plots, pictures, data sets) are replaced by empty
modules, and ``cuda()`` by a function that does nothing, so that training runs on the CPU.

*Seconds*: 5,000 pairs of 512 + 1,386 features, 64 bits, batches of 32, hidden width 4,096,
stochastic gradient descent with momentum, one thread, CPU seconds of the process; then this
library's defaults. Public code and this library take turns. CIRH, which has other batches, is left
out.

*Quality* (``--on``): mean average precision over all ranks, image to text and text to image, ties
in expectation, for the codes of the last epoch, and CPU seconds, on the collections of
``_collection.py``, below random codes and CCA + ITQ. Raw features of each modality are divided by
the mean norm of a row for the public code, which has the hidden width ``--width`` and trains for
``--epochs``. This library uses its defaults.

Run it with ``OMP_NUM_THREADS=1 python benchmarks/public_code.py --jdsh FOLDER --dgcpn FOLDER --cirh
FOLDER [--on wiki clip-like --seeds 3]``.
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
from _quality import REFERENCES, both_directions, fit, show, show_methods
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
    np.__dict__["int"] = int  # an alias that NumPy has dropped
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


def loader(image, text, fields, *, batch_size=BATCH, drop_last=False):
    rows = Rows(image, text, fields)
    return torch.utils.data.DataLoader(rows, batch_size, shuffle=True, drop_last=drop_last)


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


class CIRH:
    """Training of XizeWu/CIRH, with its settings for MIRFlickr; 2/5 of the pairs are neighbours."""

    def __init__(self, module, image, text, n_bits, width):
        self.session = session = module.PCIRH.__new__(module.PCIRH)
        session.config = settings = types.SimpleNamespace(
            lambda1=10, lambda2=1, beta=0.01, K=3 * len(image) // 5, a1=0.6, a2=0.6,
            BATCH_SIZE=512, NUM_EPOCH=0, EPOCH_INTERVAL=2,
        )  # fmt: skip
        session.log = logging.getLogger("public")
        session.I_tr, session.T_tr, session.train_num = image, text, len(image)
        fields = "image", "text", "label", "row"
        session.train_loader = loader(image, text, fields, batch_size=settings.BATCH_SIZE)
        session.S_cmm = session.cal_similarity(torch.tensor(image), torch.tensor(text))
        session.record_Lsmodel, session.record_Lshfunc = [], []
        widths = image.shape[1], text.shape[1]
        session.mynet = module.MyNet(n_bits, *widths)
        session.imgnet, session.txtnet = module.Img_Net(n_bits, 1), module.Txt_Net(n_bits, 1)
        for network, n_features in zip((session.imgnet, session.txtnet), widths, strict=True):
            network.fc1 = torch.nn.Linear(n_features, width)
            network.tohash = torch.nn.Linear(width, n_bits)
            torch.nn.init.normal_(network.tohash.weight)
        session.opt_mynet = torch.optim.Adam(session.mynet.parameters(), lr=1e-3)
        session.opt_imgnet = torch.optim.Adam(session.imgnet.parameters(), lr=1e-4)
        session.opt_txtnet = torch.optim.Adam(session.txtnet.parameters(), lr=1e-4)

    def train(self):
        """Train both parts for an epoch."""
        self.session.train_Hashfunc(*self.session.train_method(0), 0)

    def encode(self, image, text):
        """Return the real codes of both blocks."""
        networks = self.session.imgnet.eval(), self.session.txtnet.eval()
        rows = (torch.nn.functional.normalize(x) for x in (image, text))
        return tuple(network(x) for network, x in zip(networks, rows, strict=True))


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


def train_public(public, collection, options, seed):
    """Return what encodes pairs by public code that is trained on a collection."""
    torch.manual_seed(seed)
    blocks = np.split(collection.train, [collection.n_image], axis=1)
    scales = [np.linalg.norm(block, axis=1).mean() for block in blocks]
    scaled = [np.ascontiguousarray(b / s) for b, s in zip(blocks, scales, strict=True)]
    session = public(*scaled, options.bits, options.width)
    for _ in range(options.epochs):
        session.train()
    return lambda X: public_codes(session)(X, collection.n_image, scales)


def compare_quality(methods, options):
    for name in options.on:
        collections = [next(collect([name], seed)) for seed in range(options.seeds)]
        show_methods({"CCA + ITQ": REFERENCES["CCA + ITQ"]}, options.bits, collections)
        for method, (public, ours) in methods.items():
            found, spent = {"public": [], "ours": []}, {"public": [], "ours": []}
            for seed, c in enumerate(collections):
                started = time.process_time()
                encode = train_public(public, c, options, seed)
                spent["public"].append(time.process_time() - started)
                found["public"].append(both_directions(encode, c))
                hasher = ours(options.bits, n_image_features=c.n_image, random_state=seed)
                hasher, taken = fit(hasher, c)
                spent["ours"].append(taken)
                found["ours"].append(both_directions(hasher.transform, c))
            for key, rows in found.items():
                title = f"{collections[0].name}, {options.bits} bits"
                show(title, f"{method}, {key}", rows, f"{np.median(spent[key]):.0f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jdsh", type=Path, help="a clone of comrados/jdsh")
    parser.add_argument("--dgcpn", type=Path, help="a clone of Atmegal/DGCPN")
    parser.add_argument("--cirh", type=Path, help="a clone of XizeWu/CIRH")
    parser.add_argument("--on", nargs="*", default=[], help="collections to measure quality on")
    parser.add_argument("--bits", type=int, default=32)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--width", type=int, default=1024)
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
    if options.cirh and options.on:
        cirh = load(options.cirh, "my_opt")
        methods["CIRH"] = (lambda *a: CIRH(cirh, *a)), hashing.CIRHHasher
    if options.on:
        compare_quality(methods, options)
    else:
        compare_seconds(methods, options.rounds)


if __name__ == "__main__":
    main()
