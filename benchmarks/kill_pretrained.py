"""Kill a process while it saves a trained model, again and again, and load what is there.

A child saves two known models in turn into one folder, as fast as it can, as ``save_pretrained``
does. It is killed (SIGKILL) at a random moment. Then the folder must be one of the two, whole, with
checksums that fit. Printed are how often it was which, how many kills came in the middle of a save
(its folder was still there), and versions. With ``--two-renames`` folders are not exchanged in one
step, as on systems that cannot do that; then the older one may be under another name until the
folder is read.

Run it with ``python benchmarks/kill_pretrained.py [--kills 200] [--seed 0] [--two-renames]``, where
there is ``fork``.
"""

import tempfile
from collections import Counter
from itertools import cycle
from pathlib import Path

import numpy as np
from _kill import Moments, parser_of
from _timing import header

from skhash import _files
from skhash.features._towers.folder import save_towers
from skhash.features._towers.strangers import read_document


def known_models():
    """Make two models that differ in all that is saved."""
    rng = np.random.default_rng(0)
    for width in (64, 128):
        model = {"embed_dim": width, "vision_cfg": {"width": width}, "text_cfg": {}}
        config = {
            "model_cfg": model,
            "preprocess_cfg": {},
            "files": {"tokenizer.json": b"{}" * width},
        }
        yield config, {"weights": rng.random((1000, width), dtype=np.float32)}


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def found(folder, contents):
    """Name the model that is there, or what is wrong."""
    try:
        read_document(folder, whole=True)
    except (ValueError, OSError) as error:
        return f"broken: {error}"
    return "AB"[contents.index(there)] if (there := content(folder)) in contents else "a mixture"


def main():
    parser = parser_of(__doc__)
    parser.add_argument("--two-renames", action="store_true")
    options = parser.parse_args()
    header("numpy", "safetensors")
    if options.two_renames:
        _files._exchange = lambda *_: False
    moments, models, contents = Moments(options.seed), list(known_models()), []
    outcomes, interrupted, missing = Counter(), 0, 0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "model"
        for config, state in models:
            save_towers(folder, config, state)
            contents.append(content(folder))

        def save_in_turn(_):
            for config, state in cycle(models):
                save_towers(folder, config, state)

        for _ in range(options.kills):
            moments.kill(save_in_turn, 0, 0.1)
            interrupted += len(list(Path(place).iterdir())) > 1
            missing += not folder.exists()
            outcomes[found(folder, contents)] += 1
    print(f"{options.kills} kills, {interrupted} of them in the middle of a save")
    print(f"{missing} times the folder had another name until it was read")
    print(", ".join(f"{name}: {count}" for name, count in sorted(outcomes.items())))
    if set(outcomes) - {"A", "B"} or (missing and not options.two_renames):
        raise SystemExit("a kill left neither the old model nor the new one")


if __name__ == "__main__":
    main()
