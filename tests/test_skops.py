"""Files of skops: every estimator comes back from one, and none that was tampered with loads."""

import io
import json
import subprocess
import sys
from zipfile import BadZipFile, ZipFile

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline, make_pipeline

from skhash import split_towers, trusted_types
from skhash.datasets import make_scenes
from skhash.features import (
    BoWTextFeaturizer,
    ContrastiveFeaturizer,
    CrossModalFeaturizer,
    PatchFeaturizer,
)
from skhash.hashing import CFRHHasher, ITQHasher
from skhash.metrics import RetrievalScorer
from skhash.retrieval import HammingRetriever

from .estimators import ESTIMATORS, answers, ask, first_that_fits, inputs, small, tiny_model

skops = pytest.importorskip("skops.io", reason="needs the extra skops")
Untrusted = pytest.importorskip("skops.io.exceptions").UntrustedTypesFoundException


@pytest.fixture(scope="module")
def model_name(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def candidates():
    return inputs()


def round_trip(estimator):
    return skops.loads(skops.dumps(estimator), trusted=trusted_types())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: estimator.__name__)
def test_every_estimator_comes_back_and_answers_as_before(estimator, model_name, candidates):
    X, _ = first_that_fits(estimator, model_name, candidates)
    fitted = small(estimator, model_name)
    expected = answers(fitted, X)
    loaded = round_trip(fitted)
    for found, one in zip(ask(loaded, X), expected, strict=True):
        np.testing.assert_array_equal(found, one)
    assert repr(loaded.get_params()) == repr(fitted.get_params())


def scenes():
    return make_scenes(60, image_size=16, random_state=0).frame


@pytest.fixture(scope="module")
def pipeline():
    pictures = make_pipeline(PatchFeaturizer(n_patterns=8, random_state=0), PCA(8))
    steps = [
        ("features", CrossModalFeaturizer(image=pictures, text=BoWTextFeaturizer())),
        ("hash", CFRHHasher(8, max_iter=2, batch_size=30, hidden_units=8, random_state=0)),
        ("index", HammingRetriever(paired=True)),
    ]
    return Pipeline(steps).fit(scenes())


def test_pipelines_and_their_halves_come_back(pipeline):
    table = scenes()
    assert round_trip(pipeline).score(table) == pipeline.score(table)
    towers, halves = split_towers(pipeline), {"image": table["image"], "text": table["text"]}
    for modality, items in halves.items():
        half = towers[modality]
        np.testing.assert_array_equal(round_trip(half).transform(items), half.transform(items))


def test_scorers_and_unfitted_estimators_come_back():
    assert repr(round_trip(RetrievalScorer("recall", k=5))) == repr(RetrievalScorer("recall", k=5))
    assert repr(round_trip(CFRHHasher(n_bits=8))) == "CFRHHasher(n_bits=8)"


def test_a_history_comes_back_as_a_table():
    table = make_scenes(16, image_size=16, random_state=0).frame
    featurizer = small(ContrastiveFeaturizer, None).fit(table)
    loaded = round_trip(featurizer)
    pd.testing.assert_frame_equal(loaded.history_, featurizer.history_)
    assert len(loaded.partial_fit(table).history_) > len(featurizer.history_)


@pytest.mark.parametrize("seed", [np.random.RandomState(0), np.random.default_rng(0)], ids=type)
def test_a_generator_of_numpy_may_be_a_parameter(seed):
    loaded = round_trip(ITQHasher(4, space="image", random_state=seed))
    assert type(loaded.random_state) is type(seed)


def test_the_list_is_short_and_names_no_function():
    names = trusted_types()
    assert names == sorted(set(names))
    assert set(names) == {
        *(f"{cls.__module__}.{cls.__name__}" for cls in ESTIMATORS),
        *("skhash.metrics.RetrievalScorer", "skhash._estimators.ModalityStep"),
        "skhash.retrieval._ids.Ids",
    }


def test_the_list_needs_no_torch():
    code = "import sys, skhash; skhash.trusted_types(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# Functions and classes, of others and of this library, that a file must not name.
CALLABLES = [
    *("os.system", "posix.system", "builtins.eval", "subprocess.Popen", "operator.methodcaller"),
    *("skhash.datasets.fetch_wiki", "skhash._libraries.import_with_torchvision"),
]
ARGUMENT = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode"}
ARGUMENT |= {"content": '"true"', "is_json": True}
CALL = {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode"}
CALL |= {"content": [ARGUMENT]}


def changed(data, change):
    """Return a file of skops with another schema, and the same arrays."""
    out = io.BytesIO()
    with ZipFile(io.BytesIO(data)) as source, ZipFile(out, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "schema.json":
                schema = json.loads(content)
                change(schema)
                content = json.dumps(schema).encode()
            target.writestr(name, content)
    return out.getvalue()


@pytest.fixture(scope="module")
def data(pipeline):
    return skops.dumps(pipeline)


def named(name):
    module, _, attribute = name.rpartition(".")
    return {"__module__": module, "__class__": attribute}


def refuse(data, change):
    with pytest.raises(Untrusted):
        skops.loads(changed(data, change), trusted=trusted_types())


@pytest.mark.parametrize("name", CALLABLES)
def test_a_file_with_another_name_of_a_type_is_refused(data, name):
    refuse(data, lambda schema: schema.update(named(name)))
    refuse(data, lambda schema: schema["content"]["content"]["steps"].update(named(name)))


@pytest.mark.parametrize(
    "loader", ["ObjectNode", "FunctionNode", "TypeNode", "ConstructorFromReduceNode"]
)
@pytest.mark.parametrize("name", CALLABLES)
def test_a_file_with_a_callable_in_it_is_refused(data, name, loader):
    node = {**named(name), "__loader__": loader}
    if loader == "ConstructorFromReduceNode":
        node["content"] = CALL
    refuse(data, lambda schema: schema["content"]["content"].update(verbose=node))


def test_a_file_with_a_partial_function_is_refused(data):
    function = {**named("posix.system"), "__loader__": "FunctionNode"}
    nothing = {"__class__": "dict", "__module__": "builtins", "__loader__": "DictNode"}
    nothing |= {"content": {}, "key_types": {**CALL, "content": []}}
    parts = {"func": function, "args": CALL, "kwds": nothing, "namespace": nothing}
    node = {**named("functools.partial"), "__loader__": "PartialNode", "content": parts}
    refuse(data, lambda schema: schema["content"]["content"].update(memory=node))


def test_what_is_changed_back_loads(data):
    loaded = skops.loads(changed(data, lambda schema: None), trusted=trusted_types())
    assert loaded.score(scenes()) > 0


def test_without_the_list_nothing_of_this_library_loads(data):
    with pytest.raises(Untrusted, match="CFRHHasher"):
        skops.loads(data)
    assert set(skops.get_untrusted_types(data=data)) <= set(trusted_types())


def test_a_flipped_byte_of_an_array_or_of_the_schema_is_refused(data):
    rng = np.random.default_rng(0)
    with ZipFile(io.BytesIO(data)) as file:
        members = [(m.header_offset + 30 + len(m.filename), m.file_size) for m in file.infolist()]
    for start, size in members:
        damaged = bytearray(data)
        damaged[start + int(rng.integers(size))] ^= 1 << int(rng.integers(8))
        with pytest.raises(BadZipFile, match="CRC"):
            skops.loads(bytes(damaged), trusted=trusted_types())


def test_memory_maps_are_refused_and_saved_by_the_index_itself(tmp_path):
    codes = np.random.default_rng(0).random((20, 16)) < 0.5
    index = HammingRetriever(n_neighbors=3).fit(codes)
    index.save(tmp_path)
    mapped = HammingRetriever.open(tmp_path)
    np.testing.assert_array_equal(ask(mapped, codes), ask(index, codes))
    np.testing.assert_array_equal(ask(round_trip(index), codes), ask(index, codes))
    with pytest.raises(Untrusted, match="memmap"):
        round_trip(mapped)
