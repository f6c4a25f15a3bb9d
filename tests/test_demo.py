"""The demo as a command. ``make demo`` runs all of it."""

import subprocess
import sys

import joblib
from sklearn.decomposition import TruncatedSVD
from sklearn.pipeline import make_pipeline

from skhash.features import BoWTextFeaturizer
from skhash.retrieval import HammingRetriever

TEXTS = ["a red disc", "a blue box", "a green ring"]


def demo(*arguments):
    command = [sys.executable, "-m", "skhash.demo", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_saved_model_answers_a_caption(tmp_path):
    encoder = make_pipeline(BoWTextFeaturizer(), TruncatedSVD(3, random_state=0)).fit(TEXTS)
    joblib.dump({"data": "scenes", "text": encoder}, tmp_path / "demo-scenes.joblib")
    index = HammingRetriever(n_neighbors=1).fit(encoder.transform(TEXTS), TEXTS)
    index.save(tmp_path / "demo-scenes.index")
    done = demo("--output", tmp_path, "--ask", "a blue box")
    assert "distance  0  image 1: a blue box" in done.stdout, done.stderr


def test_pictures_without_captions_are_refused(tmp_path):
    assert "--images and --captions go together" in demo("--images", tmp_path).stderr
