"""The demo as a command, and its choice of a hasher. ``make demo`` runs all of it."""

import subprocess
import sys

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import TruncatedSVD
from sklearn.model_selection import PredefinedSplit
from sklearn.pipeline import make_pipeline
from sklearn.utils import Bunch

from skhash import make_table
from skhash.demo import __main__ as command
from skhash.demo import choosing, quality
from skhash.features import BoWTextFeaturizer
from skhash.hashing import CCAHasher, CFRHHasher, ITQHasher
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


@pytest.mark.parametrize("question", ["a dog", "693"])
def test_a_model_of_wiki_is_asked_by_the_number_of_an_article(tmp_path, monkeypatch, question):
    joblib.dump({"data": "wiki", "text": None}, tmp_path / "demo-wiki.joblib")
    HammingRetriever().fit(np.eye(8, dtype=bool)).save(tmp_path / "demo-wiki.index")
    test = Bunch(data=pd.DataFrame({"text__0": np.zeros(693)}))
    monkeypatch.setattr("skhash.datasets.fetch_wiki", lambda **_: test)
    with pytest.raises(ValueError, match=f"got '{question}': ask with the number .*0 to 692"):
        command.ask(tmp_path / "demo-wiki.joblib", question)


def test_pictures_without_captions_are_refused(tmp_path):
    assert "--images and --captions go together" in demo("--images", tmp_path).stderr


def data(shared_space):
    """Pairs of noisy topics; the text block is the image block's space, or not."""
    rng = np.random.default_rng(0)
    topics, to_image, to_text = (rng.normal(size=shape) for shape in ((90, 4), (4, 8), (4, 8)))
    image = topics @ to_image + rng.normal(size=(90, 8))
    text = topics @ (to_image if shared_space else to_text) + rng.normal(size=(90, 8))
    table = make_table(image=image, text=text)
    train, test = table[:60], table[60:].reset_index(drop=True)
    y = rng.integers(3, size=90)
    return Bunch(
        relevant="shares a class",
        train=train,
        test=test,
        gallery=train,
        y_gallery=y[:60],
        y_test=y[60:],
        cv=PredefinedSplit(np.where(np.arange(60) >= 40, 0, -1)),
        groups=None,
        test_groups=None,
        shared_space=shared_space,
    )


@pytest.mark.parametrize("shared_space", [False, True])
def test_the_hashers_compared_are_the_references_and_cfrh(shared_space):
    parts = choosing.grid(data(shared_space))
    names = [choosing.name_of(hasher) for part in parts for hasher in part["hash"]]
    references = {"CCA + ITQ", "ridge + ITQ, image space", "ridge + ITQ, text space", "CFRH"}
    assert references <= set(names)
    assert ("ITQ, shared space" in names) == shared_space
    assert len(set(names)) == len(names)


def test_no_batch_is_larger_than_the_pairs_of_a_fold():
    parts = choosing.grid(data(shared_space=False))
    [network] = [h for part in parts for h in part["hash"] if isinstance(h, CFRHHasher)]
    assert network.batch_size == 40


@pytest.mark.parametrize("own", [False, True])
def test_classes_are_spoken_of_only_where_there_are_some(monkeypatch, capsys, own):
    pairs = data(shared_space=False)
    if own:
        pairs.update(gallery=pairs.test, y_gallery=pairs.y_test, test_groups=pairs.y_test)
    hashers = {"CFRH": CFRHHasher(8), "CCA + ITQ": CCAHasher(8)}
    scores = {CFRHHasher: [0.5] * 4, CCAHasher: [0.9] * 4}
    monkeypatch.setattr(
        quality, "assess", lambda hasher, *_: (hasher, 1.0, scores[type(hasher)], [0.5] * 4)
    )
    with joblib.parallel_config("threading"):
        quality.compare(pairs, Bunch(name="CFRH", n_bits=8, hashers=hashers))
    [said] = [part for part in capsys.readouterr().out.split("\n\n") if "is ahead" in part]
    assert "CCA + ITQ is ahead" in said
    assert ("of its class" in said, "few pairs" in said) == (not own, own)


@pytest.fixture
def linear(monkeypatch):
    """Only the hashers that fit at once, at two lengths."""
    grid = choosing.grid

    def without_networks(data):
        return [part for part in grid(data) if not isinstance(part["hash"][0], CFRHHasher)]

    monkeypatch.setattr(choosing, "grid", without_networks)
    monkeypatch.setattr(choosing, "N_BITS", [8, 16])
    with joblib.parallel_config("threading"):
        yield


@pytest.mark.usefixtures("linear")
def test_the_best_hasher_on_held_out_pairs_is_named_and_used(pyplot, tmp_path, capsys):
    pairs = data(shared_space=True)
    choice = choosing.choose(pairs, pyplot, tmp_path / "choosing.png")
    printed = capsys.readouterr().out
    assert f"{choice.name} found the other half best on held-out pairs and is used" in printed
    assert "No label had a part" in printed
    assert "  random codes" in printed
    assert (tmp_path / "choosing.png").stat().st_size > 0
    hashers = [hasher for part in choosing.grid(pairs) for hasher in part["hash"]]
    assert list(choice.hashers) == [choosing.name_of(hasher) for hasher in hashers]
    assert {hasher.n_bits for hasher in choice.hashers.values()} == {choice.n_bits}
    # The best is best: fitted on what is not held out, it finds the rest as well as any other.
    scores = {
        name: hasher.fit(pairs.train[:40]).score(pairs.train[40:])
        for name, hasher in choice.hashers.items()
    }
    assert scores[choice.name] == max(scores.values())


@pytest.mark.usefixtures("linear")
@pytest.mark.parametrize("shared_space", [False, True])
def test_the_table_has_every_hasher_and_random_codes(pyplot, tmp_path, capsys, shared_space):
    pairs = data(shared_space)
    choice = choosing.choose(pairs, pyplot, tmp_path / "choosing.png")
    capsys.readouterr()
    used = quality.compare(pairs, choice)
    table, recalls = capsys.readouterr().out.split("finds the other half  ")
    rows = ["random codes", *choice.hashers]
    rows += ["signs of the features", "features, by cosine"] if shared_space else []
    for part in (table, recalls):
        assert all(f"  {row}" in part for row in rows)
        assert f"  {choice.name}*" in part
    assert "Database: the 60 training pairs; queries: 30 other pairs." in table
    assert choosing.name_of(used) == choice.name
    assert used.random_state == quality.SEEDS[0]


def test_captions_of_one_picture_count_as_found():
    codes = np.eye(4, dtype=bool), np.eye(4, dtype=bool)[[1, 0, 2, 3]]
    ungrouped = quality.find_pairs(codes, Bunch(test_groups=None))
    grouped = quality.find_pairs(codes, Bunch(test_groups=np.array([0, 0, 1, 2])))
    assert ungrouped[0] == 0.5
    assert grouped[0] == 1.0


def test_hashers_are_named_as_the_guide_names_them():
    assert choosing.name_of(ITQHasher(space="text")) == "ridge + ITQ, text space"
    assert choosing.name_of(CFRHHasher()) == "CFRH"
