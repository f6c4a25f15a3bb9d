"""The service of the examples, as a process that is asked over HTTP."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

import joblib
import pytest
from sklearn.pipeline import make_pipeline

from skhash import make_table, split_towers
from skhash.datasets import make_scenes
from skhash.features import BoWTextFeaturizer, PatchFeaturizer
from skhash.hashing import CFRHHasher
from skhash.retrieval import HammingRetriever

from .without_torch import FORBID_TORCH

pytest.importorskip("fastapi", reason="the service needs fastapi")
pytest.importorskip("uvicorn", reason="the service needs uvicorn")

EXAMPLES = Path(__file__).parents[1] / "examples"
# A server in whose process torch cannot be imported.
SERVER = f"""{FORBID_TORCH}
import uvicorn
options = {{"factory": True, "app_dir": sys.argv[1], "log_level": "warning"}}
uvicorn.run("service:create", port=int(sys.argv[2]), **options)
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return the folder of a text pipeline and an index of pictures, and both."""
    folder = tmp_path_factory.mktemp("model")
    scenes = make_scenes(120, image_size=16, random_state=0).frame
    words = BoWTextFeaturizer().fit(scenes["text"])
    patches = PatchFeaturizer(n_patterns=8, random_state=0).fit(scenes["image"])
    X = make_table(image=patches.transform(scenes["image"]), text=words.transform(scenes["text"]))
    settings = {"max_iter": 3, "batch_size": 40, "hidden_units": 16, "random_state": 0}
    hasher = CFRHHasher(16, **settings).fit(X)
    text = make_pipeline(words, split_towers(hasher).text)
    labels = ["new" if row % 3 else "old" for row in range(len(X))]
    codes = hasher.encode_image(X.filter(like="image__"))
    index = HammingRetriever().fit(codes, labels, ids=[f"{row}.jpg" for row in range(len(X))])
    joblib.dump(text, folder / "text.joblib")
    index.save(folder / "index")
    return folder, text, index


@pytest.fixture(scope="module")
def server(saved):
    with serve(saved[0]) as started:
        yield started


@contextmanager
def serve(folder):
    """Start the service; yield its address and what it printed before it was ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    root = EXAMPLES.parent
    environment = {
        **os.environ,
        "SERVICE_FOLDER": str(folder),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")]),
    }
    command = [sys.executable, "-c", SERVER, str(EXAMPLES), str(port)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = subprocess.Popen(command, env=environment, **pipes)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        address = f"http://127.0.0.1:{port}"
        _wait(process, address)
        yield address, line
    finally:
        process.terminate()
        process.communicate(timeout=10)


def _wait(process, address):
    for _ in range(200):
        try:
            return get(f"{address}/health")
        except OSError:
            assert process.poll() is None, process.stdout.read()
            time.sleep(0.1)
    raise AssertionError("the service did not start")


def get(address, **query):
    with urlopen(f"{address}?{urlencode(query)}", timeout=10) as answer:
        return json.load(answer)


def test_the_start_is_told_with_time_threads_and_memory(server):
    assert re.match(
        r"ready after \d+\.\d\d s \(imports .* models .* first search .*; processor .* s\), "
        r"120 items, OMP_NUM_THREADS=1, (\d+|nan) MB resident\n",
        server[1],
    ), server[1]


def test_health_counts_the_items(server):
    told = get(f"{server[0]}/health")
    assert (told["status"], told["items"]) == ("ok", 120)


def test_answers_are_those_of_the_pipeline_and_the_index(server, saved):
    _, text, index = saved
    distances, rows = index.kneighbors(text.transform(["a teal ring"]), 4)
    found = get(f"{server[0]}/search", text="a teal ring", k=4)
    assert [hit["id"] for hit in found] == [f"{row}.jpg" for row in rows[0]]
    assert [hit["distance"] for hit in found] == distances[0].tolist()
    assert [hit["label"] for hit in found] == index.y_[rows[0]].tolist()


def test_a_label_filters_before_k_counts(server, saved):
    _, text, index = saved
    _, rows = index.kneighbors(text.transform(["a teal ring"]), 120)
    old = [row for row in rows[0].tolist() if index.y_[row] == "old"]
    found = get(f"{server[0]}/search", text="a teal ring", k=5, label="old")
    assert [hit["id"] for hit in found] == [f"{row}.jpg" for row in old[:5]]
    assert get(f"{server[0]}/search", text="a teal ring", label="no such") == []


@pytest.mark.parametrize("query", [{"text": ""}, {"k": 3}, {"text": "ring", "k": 0}])
def test_bad_questions_are_refused(server, query):
    with pytest.raises(HTTPError) as refused:
        get(f"{server[0]}/search", **query)
    with refused.value as answer:
        assert answer.code == 422


def test_an_empty_index_has_no_answers(tmp_path, saved):
    joblib.dump(saved[1], tmp_path / "text.joblib")
    index = HammingRetriever.open(saved[0] / "index")
    index.remove(index.ids_).save(tmp_path / "index")
    with serve(tmp_path) as (address, _):
        assert get(f"{address}/search", text="a teal ring") == []
