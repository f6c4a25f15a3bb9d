import copy
import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
from dataclasses import asdict
from errno import EACCES, ENOSPC, EROFS
from inspect import signature

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skhash import split_towers
from skhash.datasets import make_scenes
from skhash.features import CLIPFeaturizer, ContrastiveFeaturizer
from skhash.hashing import CFRHHasher
from skhash.metrics import RetrievalScorer

TINY = {
    "image_tower": "vit",
    "image_size": 16,
    "patch_size": 8,
    "width": 16,
    "image_layers": 1,
    "text_layers": 1,
    "embed_dim": 8,
    "batch_size": 8,
    "group_size": 2,
    "joint_epochs": 1,
    "n_rounds": 1,
    "round_epochs": 1,
    "random_state": 0,
}


def tiny(**parameters):
    return ContrastiveFeaturizer(**{**TINY, **parameters})


@pytest.fixture(scope="module")
def table():
    return make_scenes(24, image_size=16, random_state=0).frame


@pytest.fixture(scope="module")
def fitted(table):
    return tiny().fit(table)


def test_a_table_becomes_unit_vectors_of_both_blocks(fitted, table):
    features = fitted.transform(table)
    assert isinstance(features, pd.DataFrame)
    assert list(features.columns) == [f"{b}__{i}" for b in ("image", "text") for i in range(8)]
    assert set(features.dtypes) == {np.dtype(np.float32)}
    for block in np.hsplit(features.to_numpy(), 2):
        np.testing.assert_allclose(np.linalg.norm(block, axis=1), 1, atol=1e-5)
    assert list(fitted.get_feature_names_out()) == list(features.columns)


def test_each_parameter_of_training_is_in_one_group():
    from skhash.features._contrastive.parameters import read_parameters

    groups = asdict(read_parameters(ContrastiveFeaturizer()))
    grouped = [name for group in groups.values() for name in group]
    others = {"image_column", "text_column"}
    others |= {"checkpoint_dir", "warm_start", "random_state", "verbose"}
    parameters = signature(ContrastiveFeaturizer).parameters
    assert sorted(grouped) == sorted(set(parameters) - others)


@pytest.mark.parametrize("block", ["image", "text"])
def test_one_column_alone_is_encoded_as_beside_the_other(fitted, table, block):
    both = fitted.transform(table)
    alone = fitted.transform(table[[block]])
    assert list(alone.columns) == [f"{block}__{i}" for i in range(8)]
    pd.testing.assert_frame_equal(alone, both[alone.columns], atol=1e-6)
    encode = getattr(fitted, f"encode_{block}")
    np.testing.assert_allclose(encode(table[block]), alone, atol=1e-6)


@pytest.mark.parametrize("library", [pd.DataFrame, pl.DataFrame])
def test_pictures_may_be_cells_of_arrow_files(fitted, table, library):
    cells = []
    for picture in table["image"]:
        file = io.BytesIO()
        picture.save(file, "PNG")
        cells.append({"bytes": file.getvalue(), "path": None})
    features = fitted.transform(library({"image": cells, "text": table["text"].tolist()}))
    np.testing.assert_allclose(features.to_numpy(), fitted.transform(table).to_numpy(), atol=1e-6)


def test_the_container_is_that_of_the_table_or_the_one_asked_for(fitted, table):
    features = fitted.transform(table).to_numpy()
    array = np.empty((len(table), 2), dtype=object)
    array[:, 0], array[:, 1] = list(table["image"]), list(table["text"])
    np.testing.assert_array_equal(fitted.transform(array), features)
    asked = clone(fitted).set_output(transform="polars").fit(table)
    assert isinstance(asked.transform(table), pl.DataFrame)


def test_the_same_seed_gives_the_same_bits_and_leaves_global_generators_alone(fitted, table):
    import torch

    before = torch.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002
    again = tiny().fit(table)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    for name, weights in fitted.state_.items():
        np.testing.assert_array_equal(again.state_[name], weights)
    other = tiny(random_state=1).fit(table)
    assert any(np.any(other.state_[name] != weights) for name, weights in fitted.state_.items())


def test_pictures_that_are_not_kept_in_memory_give_the_same_bits(fitted, table, monkeypatch):
    from skhash.features._contrastive import pairs as _contrastive_pairs

    monkeypatch.setattr(_contrastive_pairs, "_IN_MEMORY", 0)
    again = tiny().fit(table)
    for name, weights in fitted.state_.items():
        np.testing.assert_array_equal(again.state_[name], weights)


@pytest.mark.filterwarnings("ignore:one of 2 clusters holds")
def test_fitting_changes_no_parameter(table):
    featurizer = tiny(n_clusters=2, mask_threshold=0.9, early_stopping=True)
    before = featurizer.get_params()
    assert featurizer.fit(table, groups=np.arange(24) // 2).get_params() == before


def test_history_has_a_row_an_epoch(fitted):
    history = fitted.history_
    assert list(history["stage"]) == ["joint", "clustered"]
    assert list(history["round"]) == [0, 1]
    assert {"total", "cross", "image", "text", "masked", "temperature", "seconds"} <= set(history)
    assert history["cluster_sizes"].map(sum).tolist() == [0, 24]
    weighted = history["cross"] + 0.5 * history["image"] + 0.5 * history["text"]
    np.testing.assert_allclose(history["total"], weighted, rtol=1e-5)


def test_validation_pairs_give_recalls(table):
    history = tiny(n_rounds=0).fit(table, X_val=table[:10]).history_
    for name in (f"{way}_r{k}" for way in ("i2t", "t2i") for k in (1, 5, 10)):
        assert history[name].between(0, 1).all()
    assert history["i2t_r10"].tolist() == [1.0]


def test_early_stopping_keeps_the_best_weights_and_ends(table):
    featurizer = tiny(
        joint_epochs=30,
        n_rounds=0,
        early_stopping=True,
        validation_fraction=0.3,
        n_iter_no_change=2,
        learning_rate=1e-9,
    ).fit(table)
    assert len(featurizer.history_) == 3


def test_groups_never_meet_and_are_masked(table):
    twice = pd.concat([table, table], ignore_index=True)
    groups = np.tile(np.arange(len(table)), 2)
    history = tiny().fit(twice, groups=groups).history_
    assert history["masked"].max() == 0  # no two of a group in a batch
    repeated = tiny().fit(twice).history_
    assert repeated["masked"].max() > 0  # equal captions meet, and are no negatives


def test_a_pickle_holds_arrays_only_and_wakes_in_another_process(fitted, table, tmp_path):
    joblib.dump(fitted, tmp_path / "model.joblib")
    assert b"torch" not in pickle.dumps(fitted.state_)
    np.save(tmp_path / "expected.npy", fitted.encode_text(table["text"]))
    table["text"].to_json(tmp_path / "texts.json")
    code = """
import sys, joblib, numpy as np, pandas as pd
folder = sys.argv[1]
model = joblib.load(f"{folder}/model.joblib")
texts = pd.read_json(f"{folder}/texts.json", typ="series")
found = model.encode_text(texts)
np.testing.assert_allclose(found, np.load(f"{folder}/expected.npy"), atol=1e-6)
print(len(found))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(len(table))


def test_towers_of_a_pickle_are_in_evaluation_mode_for_all_threads(fitted):
    from skhash.features._contrastive import fit as _contrastive_fit

    towers = _contrastive_fit.wake(pickle.loads(pickle.dumps(fitted)))
    # A thread would switch dropout on again while another one is still encoding.
    assert not any(part.training for part in towers.modules())


def test_warm_start_goes_on_with_the_same_towers(table):
    featurizer = tiny(n_rounds=0, warm_start=True).fit(table)
    words, before = featurizer.config_["files"], featurizer.state_
    featurizer.fit(table)
    assert len(featurizer.history_) == 2
    assert featurizer.config_["files"] == words
    assert any(np.any(featurizer.state_[name] != weights) for name, weights in before.items())


def test_chunks_train_one_pass_each(table):
    featurizer = tiny()
    for chunk in (table, table, table[:16]):
        featurizer.partial_fit(chunk)
    assert featurizer.history_["stage"].tolist() == ["joint"] * 3
    assert featurizer.transform(table).shape == (24, 16)


@pytest.mark.parametrize("device", ["cpu", "cpu:0"])
def test_the_encoders_and_the_optimizer_are_built_once(table, monkeypatch, device):
    from skhash.features._contrastive import (
        fit as _contrastive_fit,
    )
    from skhash.features._contrastive import (
        training as _contrastive_training,
    )

    built = []

    def counting(module, name):
        build = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, **k: built.append(name) or build(*a, **k))

    counting(_contrastive_fit, "build_towers")
    counting(_contrastive_fit, "rebuild_towers")
    counting(_contrastive_training, "_make_optimizer")
    featurizer = tiny(device=device).partial_fit(table)
    featurizer.encode_text(["a red ring"])
    featurizer.encode_image(table["image"][:1])
    featurizer.partial_fit(table).transform(table)
    assert built == ["build_towers", "_make_optimizer"]


def test_a_chunk_after_a_fit_that_failed_is_learned(table, tmp_path):
    featurizer = tiny(checkpoint_dir=tmp_path).partial_fit(table)
    (tmp_path / "contrastive.pt").write_bytes(b"no checkpoint")
    with pytest.raises(ValueError, match="is no checkpoint"):
        featurizer.fit(table)
    before = featurizer.state_
    featurizer.partial_fit(table)
    assert any(np.any(featurizer.state_[name] != weights) for name, weights in before.items())


def test_it_stands_before_a_hasher_in_a_grid_search(table):
    pipeline = make_pipeline(tiny(n_rounds=0), CFRHHasher(n_bits=8, max_iter=1, batch_size=8))
    search = GridSearchCV(
        pipeline,
        {"contrastivefeaturizer__image_weight": [0.0, 0.5]},
        scoring=RetrievalScorer(),
        cv=2,
        error_score="raise",
    )
    search.set_params(estimator__contrastivefeaturizer__batch_size=4).fit(table)
    assert len(search.cv_results_["params"]) == 2
    towers = split_towers(search.best_estimator_)
    assert towers.text.transform(["a red ring"]).shape == (1, 8)


def test_recall_of_real_embeddings_is_scored(fitted, table):
    score = RetrievalScorer("hit_rate", k=24)(fitted, table)
    assert score == 1.0


def test_saved_towers_are_loaded_by_clip_and_by_itself(fitted, table, tmp_path):
    fitted.save_pretrained(tmp_path / "towers")
    name = f"local-dir:{tmp_path / 'towers'}"
    images = CLIPFeaturizer(name).transform(table["image"])
    texts = CLIPFeaturizer(name, modality="text").transform(table["text"])
    np.testing.assert_allclose(images, fitted.encode_image(table["image"]), atol=1e-5)
    np.testing.assert_allclose(texts, fitted.encode_text(table["text"]), atol=1e-5)
    tuned = tiny(towers=name, n_rounds=0, learning_rate=1e-12).fit(table)
    np.testing.assert_allclose(
        tuned.encode_text(table["text"]), fitted.encode_text(table["text"]), atol=1e-4
    )


def test_texts_without_a_known_word_are_counted_once(fitted, table):
    unknown = r"^2 of 3 texts contain no word that the text encoder knows"
    texts = ["zebras", "", f"zebras and {table['text'][0]}"]
    with pytest.warns(UserWarning, match=unknown) as caught:
        vectors = fitted.encode_text(texts)
    assert len(caught) == 1
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    with pytest.warns(UserWarning, match=unknown) as caught:
        fitted.transform(pd.DataFrame({"text": texts}))
    assert len(caught) == 1
    with pytest.warns(UserWarning, match=r"^1 of 24 texts contain no word") as caught:
        tiny().fit(broken(table, "text", 3, "?"))
    assert len(caught) == 1


def test_not_fitted(table):
    with pytest.raises(NotFittedError):
        tiny().transform(table)


def broken(table, column, row, value):
    items = list(table[column])
    items[row] = value
    return table.assign(**{column: items})


BAD = {
    "clusters": (
        lambda t: t,
        {"n_clusters": 24},
        ValueError,
        "n_clusters must be at least 2 and less than the 24 rows, got 24",
    ),
    "equal captions": (
        lambda t: t.assign(text="a red ring"),
        {},
        ValueError,
        "all captions are equal",
    ),
    "equal images": (
        lambda t: t.assign(image=[Image.new("RGB", (16, 16))] * len(t)),
        {},
        ValueError,
        "all images are equal",
    ),
    "None text": (lambda t: broken(t, "text", 3, None), {}, ValueError, "row 3 of X is (None|nan)"),
    "None image": (lambda t: broken(t, "image", 4, None), {}, ValueError, "row 4 of X is None"),
    "missing file": (
        lambda t: broken(t, "image", 5, "nowhere/5.png"),
        {},
        ValueError,
        "row 5 .*nowhere/5.png",
    ),
    "unknown tower": (lambda t: t, {"towers": "ViT-B-31"}, ValueError, "got 'ViT-B-31': did you"),
    "one block": (lambda t: t[["text"]], {}, ValueError, "without the image block"),
    "features": (
        lambda t: pd.DataFrame(np.ones((24, 2)), columns=["image__0", "text__0"]),
        {},
        ValueError,
        "raw images and texts, got image features",
    ),
    "no groups": (
        lambda t: t,
        {"text_positive": "caption"},
        ValueError,
        "give fit\\(X, groups=ids\\)",
    ),
    "weight": (lambda t: t, {"image_weight": -1}, ValueError, "image_weight must be .* got -1"),
    "choice": (lambda t: t, {"augment": "wild"}, ValueError, "augment must be one of"),
    "batch": (lambda t: t, {"batch_size": 1}, ValueError, "batch_size must be at least 2, got 1"),
    "no epochs": (
        lambda t: t,
        {"joint_epochs": 0, "n_rounds": 0},
        ValueError,
        "no stage has epochs and a loss",
    ),
    "patch": (lambda t: t, {"patch_size": 7}, ValueError, "image_size=16 must be a multiple"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(table, case):
    change, parameters, kind, message = BAD[case]
    with pytest.raises(kind, match=message):
        tiny(**parameters).fit(change(table))


def test_positives_by_dropout_need_an_encoder_with_dropout(fitted, table, tmp_path):
    fitted.save_pretrained(tmp_path / "towers")
    path = tmp_path / "towers" / "config.json"
    bert = json.loads(path.read_text())
    bert.update(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    path.write_text(json.dumps(bert))
    about = tmp_path / "towers" / "open_clip_config.json"
    document = json.loads(about.read_text())
    del document["sha256"]  # of the file as it was
    about.write_text(json.dumps(document))
    featurizer = tiny(towers=f"local-dir:{tmp_path / 'towers'}")
    with pytest.raises(
        ValueError, match="needs a text encoder with dropout, and this one has none"
    ):
        featurizer.fit(table)
    assert featurizer.set_params(text_positive="word_dropout").fit(table) is featurizer


def test_a_loss_that_is_not_finite_ends_training_with_the_last_good_weights(table, monkeypatch):
    from skhash.features._contrastive.objective import Objective

    good = tiny(joint_epochs=2, n_rounds=0)
    calls = iter(range(100))

    def terms(self, *arguments):
        result = original(self, *arguments)
        if next(calls) == 4:  # the second step of the second epoch
            result["total"] = result["total"] * float("nan")
        return result

    original = Objective.forward
    monkeypatch.setattr(Objective, "forward", terms)
    with pytest.warns(ConvergenceWarning, match="loss is nan in step 2 of epoch 2 of the joint"):
        good.fit(table)
    assert len(good.history_) == 1
    assert all(np.isfinite(weights).all() for weights in good.state_.values())


def test_ctrl_c_keeps_the_last_whole_epoch(table, monkeypatch):
    from skhash.features._contrastive import training as _contrastive_training

    original = _contrastive_training.Trainer.run

    def run(self, stage, epoch, done):
        if done == 1:
            raise KeyboardInterrupt
        return original(self, stage, epoch, done)

    monkeypatch.setattr(_contrastive_training.Trainer, "run", run)
    featurizer = tiny()
    with pytest.warns(ConvergenceWarning, match=r"after 1 of 2 epochs \(interrupted"):
        featurizer.fit(table)
    assert featurizer.transform(table).shape == (24, 16)


@pytest.mark.parametrize(("tol", "n_epochs"), [(0.02, 3), (1e-4, 5)])
def test_training_waits_for_a_rise_of_the_recall_by_more_than_tol(
    table, monkeypatch, tol, n_epochs
):
    from skhash.features._contrastive import fit as _contrastive_fit

    rising = iter(np.arange(0.1, 0.2, 0.01))

    def recalls(encoders, pairs):
        return dict.fromkeys(("i2t_r1", "t2i_r1"), next(rising))

    monkeypatch.setattr(_contrastive_fit, "recalls", recalls)
    options = {"joint_epochs": 5, "n_rounds": 0, "early_stopping": True, "n_iter_no_change": 2}
    featurizer = tiny(**options, validation_fraction=0.3, tol=tol).fit(table)
    assert len(featurizer.history_) == n_epochs


@pytest.mark.parametrize("error", [KeyboardInterrupt, FloatingPointError])
def test_a_first_epoch_that_is_interrupted_leaves_the_former_towers(table, monkeypatch, error):
    from skhash.features._contrastive.objective import Objective

    new, former = tiny(), tiny(warm_start=True, random_state=1).fit(table)
    before = former.transform(table)
    original, calls = Objective.forward, iter(range(100))

    def terms(self, *arguments):
        if next(calls) % 2:
            raise error
        return original(self, *arguments)

    monkeypatch.setattr(Objective, "forward", terms)
    for featurizer in (new, former):
        for train in (featurizer.fit, featurizer.partial_fit):
            with pytest.raises(error):
                train(table)
    pd.testing.assert_frame_equal(former.transform(table), before)
    with pytest.raises(NotFittedError):
        new.transform(table)


@pytest.mark.parametrize(
    ("name", "value"), [("embed_dim", 16), ("vocabulary_size", 9), ("towers", ("ViT-B-32", None))]
)
@pytest.mark.parametrize("pickled", [False, True])
def test_a_parameter_of_the_towers_that_changes_after_fit_changes_no_feature(
    table, name, value, pickled
):
    featurizer = tiny(warm_start=True).fit(table)
    before = featurizer.transform(table)
    featurizer.set_params(**{name: value})
    if pickled:
        featurizer = pickle.loads(pickle.dumps(featurizer))
    pd.testing.assert_frame_equal(featurizer.transform(table), before)
    for go_on in (featurizer.fit, featurizer.partial_fit):
        with pytest.raises(
            ValueError, match=f"training cannot continue with {name}=.*, the encoders"
        ):
            go_on(table)
    pd.testing.assert_frame_equal(featurizer.transform(table), before)


@pytest.mark.parametrize("changed", [{"image_head": "linear"}, {"text_temperature": 0.2}])
def test_a_chunk_is_trained_with_the_parameters_of_now(table, changed):
    ways = []
    for copied in (lambda featurizer: featurizer, copy.deepcopy):
        featurizer = copied(tiny().partial_fit(table))
        ways.append(featurizer.set_params(**changed).partial_fit(table).transform(table))
    pd.testing.assert_frame_equal(*ways)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_run_that_was_killed_resumes_bit_for_bit(table, tmp_path, monkeypatch, after):
    from skhash.features._contrastive import checkpoint as _contrastive_checkpoint

    options = {"joint_epochs": 2, "round_epochs": 2, "early_stopping": True}
    whole = tiny(**options, validation_fraction=0.3).fit(table)
    save = _contrastive_checkpoint.Checkpoint.save

    def save_and_die(self, rows):
        save(self, rows)
        if len(rows) == after:
            raise Killed

    again = tiny(**options, validation_fraction=0.3, checkpoint_dir=tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(_contrastive_checkpoint.Checkpoint, "save", save_and_die)
        with pytest.raises(Killed):
            again.fit(table)
    again.fit(table)
    for name, weights in whole.state_.items():
        np.testing.assert_array_equal(again.state_[name], weights)
    pd.testing.assert_frame_equal(
        again.history_.drop(columns="seconds"), whole.history_.drop(columns="seconds")
    )


@pytest.mark.parametrize(
    "error",
    [
        OSError(ENOSPC, "No space left on device"),
        OSError(EROFS, "Read-only file system"),
        PermissionError(EACCES, "Permission denied"),
    ],
    ids=str,
)
def test_a_checkpoint_that_cannot_be_written_costs_one_warning(
    fitted, table, tmp_path, disk, error
):
    with disk.failing(error, after=10**9):
        tiny(checkpoint_dir=tmp_path / "good").fit(table)
    n_writes = disk.n_writes
    assert n_writes >= 4
    for after in range(n_writes):
        featurizer = tiny(checkpoint_dir=tmp_path / f"folder {after}")
        with (
            pytest.warns(UserWarning, match="cannot be written .*training goes on") as caught,
            disk.failing(error, after=after),
        ):
            featurizer.fit(table)
        assert len(caught) == 1
        assert error.strerror in str(caught[0].message)
        assert caught[0].filename == __file__
        for name, weights in fitted.state_.items():
            np.testing.assert_array_equal(featurizer.state_[name], weights)


@pytest.mark.skipif(os.name == "nt", reason="there are no limits of a process")
def test_a_disk_that_is_full_in_the_middle_of_a_checkpoint_costs_one_warning(table, tmp_path):
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.warns(UserWarning, match=r"written \(OSError: .*too large\)") as caught:
            featurizer = tiny(checkpoint_dir=tmp_path).fit(table)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(caught) == 1
    assert len(featurizer.history_) == 2
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_torch_that_is_not_of_the_disk_is_raised(table, tmp_path, monkeypatch):
    from skhash.features._contrastive import checkpoint as _contrastive_checkpoint

    def save(content, file):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(_contrastive_checkpoint.torch, "save", save)
    with pytest.raises(RuntimeError, match="out of memory"):
        tiny(checkpoint_dir=tmp_path).fit(table)


def test_a_checkpoint_of_another_run_or_a_broken_one_is_refused(table, tmp_path):
    featurizer = tiny(n_rounds=0, checkpoint_dir=tmp_path).fit(table)
    with pytest.raises(ValueError, match="is of a run with other data or parameters"):
        clone(featurizer).set_params(image_weight=0.1).fit(table)
    with pytest.raises(ValueError, match="is of a run with other data or parameters"):
        clone(featurizer).fit(table[::-1].reset_index(drop=True))
    (tmp_path / "contrastive.pt").write_bytes(b"no checkpoint")
    with pytest.raises(ValueError, match="is no checkpoint, or a damaged one"):
        clone(featurizer).fit(table)


def test_a_damaged_checkpoint_is_refused(table, tmp_path):
    featurizer = tiny(n_rounds=0, checkpoint_dir=tmp_path).fit(table)
    path = tmp_path / "contrastive.pt"
    content = path.read_bytes()
    middle = len(content) // 2  # among the weights
    flipped = content[:middle] + bytes([content[middle] ^ 64]) + content[middle + 1 :]
    for damaged in (flipped, content[:middle]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="is no checkpoint, or a damaged one: delete it"):
            clone(featurizer).fit(table)


def test_any_flipped_bit_of_a_checkpoint_is_seen():
    from skhash.features._contrastive.checkpoint import _is_whole

    content = bytes(range(200))
    content += hashlib.sha256(content).digest()
    assert _is_whole(io.BytesIO(content))
    for position in range(len(content)):
        flipped = bytes([content[position] ^ 1])
        assert not _is_whole(io.BytesIO(content[:position] + flipped + content[position + 1 :]))
    for n_bytes in range(len(content)):
        assert not _is_whole(io.BytesIO(content[:n_bytes]))


def test_a_named_pipe_in_place_of_a_checkpoint_is_refused_at_once(table, tmp_path):
    os.mkfifo(tmp_path / "contrastive.pt")
    with pytest.raises(ValueError, match="is no checkpoint, or a damaged one"):
        tiny(n_rounds=0, checkpoint_dir=tmp_path).fit(table)


def test_a_checkpoint_follows_no_links_and_removes_what_a_kill_left(table, tmp_path):
    thesis = tmp_path / "thesis"
    thesis.write_text("years of work")
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    (folder / "contrastive.pt.tmp").symlink_to(thesis)
    (folder / "contrastive.pt.0123456789abcdef.tmp").symlink_to(thesis)
    tiny(n_rounds=0, checkpoint_dir=folder).fit(table)
    assert thesis.read_text() == "years of work"
    assert sorted(path.name for path in folder.iterdir()) == [
        "contrastive.pt",
        "contrastive.pt.tmp",
    ]


@pytest.mark.parametrize(
    "options",
    [
        {"precision": "bf16"},
        {"gradient_checkpointing": True},
        {"accumulation": 2},
        {"image_head": None, "text_head": "linear"},
        {"augment": "simclr", "text_positive": "word_dropout"},
        {"cross_view": "augmented"},
        {"mask_threshold": 0.9},
        {"align_epochs": 1, "unimodal_epochs": 1, "align_learning_rate": 1e-4},
        {"image_weight": 0, "text_weight": 0},
        {"image_tower": "resnet", "image_size": 32, "image_layers": 4},
        {"cluster_on": "text", "hard_fraction": 1.0, "n_clusters": 4},
    ],
    ids=lambda options: ", ".join(f"{k}={v}" for k, v in options.items()),
)
def test_options_train_to_finite_features(table, options):
    featurizer = tiny(**options).fit(table)
    assert np.isfinite(featurizer.transform(table)).to_numpy().all()
    assert np.isfinite(featurizer.history_["total"]).all()


@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        ({}, [None, "mild"]),
        ({"cross_view": "augmented"}, ["mild", "mild"]),
        ({"image_weight": 0}, [None]),
        ({"cross_view": "augmented", "augment": "simclr", "image_weight": 0}, ["simclr"]),
    ],
)
def test_the_cross_modal_loss_sees_the_view_that_was_asked_for(table, monkeypatch, options, kinds):
    from skhash.features._contrastive import training as _contrastive_training

    original, seen = _contrastive_training.augment, []

    def augment(images, kind, generator):
        seen.append(kind)
        return original(images, kind, generator)

    monkeypatch.setattr(_contrastive_training, "augment", augment)
    tiny(n_rounds=0, **options).fit(table)
    assert seen == kinds * 3  # as many batches


def test_hard_batches_hold_neighbours_and_keep_groups_apart(fitted, table):
    featurizer = clone(fitted).set_params(hard_fraction=1.0, n_clusters=2, warm_start=True)
    featurizer.fit(table)
    batches = featurizer.hard_batches(table)
    assert batches.shape == (3, 8)
    assert len(np.unique(batches)) == 24
    np.testing.assert_array_equal(featurizer.hard_batches(table), batches)
    groups = np.arange(24) // 2
    for batch in featurizer.hard_batches(table, groups=groups):
        assert len(np.unique(groups[batch])) == 8
    z = featurizer.transform(table).to_numpy()
    random = np.random.default_rng(0).permuted(np.tile(np.arange(24), (200, 1)), axis=1)
    near, far = (
        np.mean([(z[a] * z[b]).sum() for a, b in rows.reshape(-1, 2)]) for rows in (batches, random)
    )
    assert near > far


@pytest.mark.parametrize(
    ("n_rows", "groups", "message"),
    [
        (5, None, r"batch_size=8 is more than the 5 rows: each epoch is one batch of all rows"),
        (8, 6, r"batch_size=8 is more than the 6 groups of rows: a batch holds one row of each"),
        (15, None, r"clustered rounds need two batches at least, got 15 rows for batch_size=8"),
    ],
)
def test_few_rows_are_trained_on_with_a_warning(table, n_rows, groups, message):
    ids = None if groups is None else np.arange(n_rows) % groups
    with pytest.warns(UserWarning, match=message) as caught:
        featurizer = tiny().fit(table[:n_rows], groups=ids)
    assert [warning.filename for warning in caught] == [__file__]
    assert list(featurizer.history_["stage"]) == ["joint", "clustered"]
    assert np.isfinite(featurizer.history_["total"]).all()
    assert np.isfinite(featurizer.transform(table)).all(axis=None)
    assert featurizer.batch_size == 8
    assert np.isfinite(featurizer.partial_fit(table[:3]).history_["total"]).all()


def test_one_group_of_rows_has_no_negatives(table):
    with pytest.raises(ValueError, match="rows of 2 groups at least, got 6 rows of 1"):
        tiny().fit(table[:6], groups=[0] * 6)


def test_hard_batches_need_a_fit_and_rows(fitted, table):
    with pytest.raises(NotFittedError):
        tiny().hard_batches(table)
    with pytest.raises(ValueError, match="clusters need two batches at least, got 15 rows"):
        fitted.hard_batches(table[:15])


def test_another_caption_of_the_group_is_a_positive(table):
    twice = pd.concat([table, table.assign(text=table["text"] + " here")], ignore_index=True)
    groups = np.tile(np.arange(len(table)), 2)
    featurizer = tiny(text_positive="caption").fit(twice, groups=groups)
    assert np.isfinite(featurizer.history_["text"]).all()


def test_checkpointed_activations_change_nothing_but_memory(table):
    plain, checkpointed = (
        tiny(n_rounds=0, dropout=1e-12, gradient_checkpointing=g).fit(table) for g in (False, True)
    )
    for name, weights in plain.state_.items():
        np.testing.assert_allclose(checkpointed.state_[name], weights, atol=1e-4)


@pytest.mark.parametrize(
    ("train", "frozen"),
    [("projections", ("visual.transformer", "text.transformer")), ("image", ("text",)),
     ("text", ("visual",))],
)  # fmt: skip
def test_what_is_not_trained_keeps_every_bit(fitted, table, train, frozen):
    tuned = copy.deepcopy(fitted).set_params(train=train, warm_start=True, n_rounds=0)
    tuned.fit(table)
    for name, weights in fitted.state_.items():
        if name.startswith(frozen):
            np.testing.assert_array_equal(tuned.state_[name], weights)
    assert any(np.any(tuned.state_[name] != weights) for name, weights in fitted.state_.items())


def test_the_temperature_stays_within_open_clips_bounds(table):
    featurizer = tiny(n_rounds=0, learning_rate=10.0, joint_epochs=2).fit(table)
    assert featurizer.history_["temperature"].between(0.01 - 1e-6, 1 + 1e-6).all()


def test_progress_tells_stage_losses_and_time_left(table, capsys):
    tiny(verbose=1).fit(table, X_val=table)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "epoch 2/2: clustered 1, loss " in lines[1]
    assert "R@1 " in lines[1]
    assert lines[1].endswith("about 0.0 s left")
