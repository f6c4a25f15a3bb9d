"""Every parameter of every public name against hostile values.

A value is refused with an error that names the parameter, or it is one that `PARAMETERS` allows.
New public names are found by discovery; a parameter with a new name is added to `PARAMETERS`. What
hashers declare beside their fields is taken from there.
"""

import inspect
import re
import warnings
from numbers import Integral, Real

import numpy as np
import pytest
from joblib import hash as digest
from matplotlib import pyplot
from PIL import Image
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import FunctionTransformer

from skhash import hashing, make_table
from skhash._inputs.checks import check_integer, check_real
from skhash.hashing import SignHasher

from .hashers import labels_for, needs_labels
from .test_docstrings import DISPLAYS, PUBLIC

BY_LABELS = [
    path for path, value in PUBLIC.items() if hasattr(value, "encode_text") and needs_labels(value)
]

HOSTILE = {
    **{"nan": np.nan, "inf": np.inf, "-inf": -np.inf, "-1": -1, "0": 0, "half": 0.5},
    **{"2**70": 2**70, "-2**70": -(2**70), "10**400": 10**400, "seed": 2**32 - 1},
    **{"int8": np.int8(8), "float32": np.float32(0.5), "nan32": np.float32("nan")},
    **{"text": "2", "empty": "", "None": None, "True": True, "list": [], "dict": {}},
    **{"object": object(), "array": np.array([1, 2]), "complex": 1j, "long": "x" * 10**5},
}


# What may be given: each returns a function that says whether a value is allowed.


def integer(low=1, high=2**31 - 1, *, none=False):
    return lambda value: (
        (none and value is None)
        or (isinstance(value, Integral) and not isinstance(value, bool) and low <= value <= high)
    )


def real(interval, *, none=False):
    low, high = map(float, interval[1:-1].split(","))

    def allows(value):
        if not isinstance(value, Real) or isinstance(value, bool):
            return none and value is None
        value = float(str(value))  # of 10**400, infinity
        closed = interval[0] == "[", interval[-1] == "]"
        return low < value < high or (value, True) in zip((low, high), closed, strict=True)

    return allows


def choice(*choices):
    return lambda value: any(value is known for known in choices)


def either(*kinds):
    return lambda value: any(allows(value) for allows in kinds)


def named(names, kind):
    return dict.fromkeys(names.split(), kind)


cut_offs = either(integer(none=True), lambda value: isinstance(value, np.ndarray))
flag = choice(True, False)
flag_or_none = choice(True, False, None)
words = choice()  # of the words that are allowed, none is hostile
level = either(flag, integer(0))
seed = either(choice(None), integer(0, 2**32 - 1))
threads = either(integer(none=True), integer(-(2**31), -1))
# What is no number, flag or choice: tables, names, paths, estimators. Tested where they belong.
other = None

PARAMETERS = {
    # Numbers of things
    **named(
        """n_bits hidden_units max_iter batch_size n_iter_no_change n_neighbors nprobe n_patterns
        patch_size stride n_patches n_samples n_captions n_resamples n_queries image_size width
        image_layers text_layers embed_dim accumulation n_features n_tags n_labels
        n_candidates""",
        integer(),
    ),
    **named(
        "n_workers align_epochs unimodal_epochs joint_epochs round_epochs n_rounds", integer(0)
    ),
    **named("n_lists decoder_hidden_units n_image_features max_features k", integer(none=True)),
    "make_scenes.image_size": integer(16),
    "retrieval_report.n_bits": integer(none=True),
    "precision_recall_by_radius.n_bits": integer(none=True),
    "convert_codes.n_bits": integer(none=True),
    "unpack_codes.n_bits": integer(none=True),
    "CodeDisplay.n_bits": integer(0, none=True),  # not used for unpacked codes
    "HammingRetriever.method.n_neighbors": integer(none=True),
    **named("RetrievalDisplay.n_queries RetrievalDisplay.n_neighbors", integer(none=True)),
    **named("to_milvus.batch_size from_milvus.batch_size", other),  # tested with a database
    "group_size": integer(2),
    "ContrastiveFeaturizer.batch_size": integer(2),
    "n_clusters": integer(2, none=True),
    "vocabulary_size": integer(6),
    **named(
        """precision_at_k.k recall_at_k.k hit_rate_at_k.k ndcg_at_k.k RetrievalCurveDisplay.k
        ranks""",
        cut_offs,
    ),
    "n_jobs": threads,
    "verbose": level,
    "random_state": seed,
    # Numbers
    "radius": real("[0, inf]", none=True),
    **named(
        "alpha scale learning_rate max_grad_norm image_temperature text_temperature",
        real("(0, inf)"),
    ),
    **named("align_learning_rate clustered_learning_rate", real("(0, inf)", none=True)),
    **named(
        """weight_decay momentum tol image_weight text_weight joint_weight intra_weight cross_weight
        pairing_weight reconstruction_weight init_ridge linear_rate""",
        real("[0, inf)"),
    ),
    **named("validation_fraction confidence_level", real("(0, 1)")),
    "hard_fraction": real("[0, 1]"),
    "max_expansion": real("[1, inf]"),
    **named("warmup dropout watch_fraction", real("[0, 1)")),
    "mask_threshold": real("[-1, 1]", none=True),
    **named("min_df max_df", either(real("[0, 1]"), integer())),
    # Flags
    **named(
        """center early_stopping warm_start reweight normalize exif_orientation compile
        local_files_only gradient_checkpointing sparse_output lowercase per_query return_distance
        mark_relevant plot_chance_level as_frame download_if_missing labels""",
        flag,
    ),
    **named("paired verify", flag_or_none),
    "durable": flag,
    # Choices
    **named(
        """optimizer output joint algorithm modality on_error long_text precision image_tower
        extra_columns augment cross_view text_positive train cluster_on weighting subset on_missing
        ties normalize gain direction metric kind mode space init target""",
        words,
    ),
    **named("image_head text_head mmap_mode rotation transform rerank", choice(None)),
    "CLIPFeaturizer.normalize": flag,
    **named("fetch_mscoco.image fetch_wiki.text", words),
    "device": lambda value: isinstance(value, str),  # which there are, torch knows
    # Other things
    **named(
        """image text estimator codes folder captions instances shards data_home path cache_dir
        weights_dir checkpoint_dir model transformer gallery gallery_y y y_gallery y_query X X_val
        y_val classes ids where vectors index client collection label
        groups query_codes gallery_codes query_items gallery_items query_balance gallery_balance
        correlation related unrelated recall steps chance_level queries results distances
        relevant scores images texts input_features name ax towers model_name pretrained
        image_column text_column label_column text_field split stop_words ngram_range token_pattern
        analyzer tokenizer preprocessor strip_accents
        vocabulary search hasher hashers names score_name spreads seconds chosen finished
        candidates""",
        other,
    ),
    "RetrievalCurveDisplay.precision": other,
    "HasherSearchDisplay.n_bits": other,  # an array
    "HasherSearchDisplay.metric": choice(None),
}

# Small data and parameters, by name.
ROWS = 150  # more than an int8 can count
rng = np.random.default_rng(0)
CODES = rng.random((ROWS, 16)) < 0.5
FEATURES = make_table(image=rng.normal(size=(ROWS, 4)), text=rng.normal(size=(ROWS, 3)))
PICTURES = [Image.fromarray(p) for p in rng.integers(256, size=(4, 16, 16, 3), dtype=np.uint8)]
RAW = make_table(image=rng.normal(size=(4, 3)), text=["two dogs", "a cat", "dogs", "a cat"])
SEARCH = GridSearchCV(SignHasher(2), {"space": ["image", "text"]}, cv=2).fit(FEATURES)
ARGUMENTS = {
    "search": SEARCH,
    "query_codes": CODES,
    "gallery_codes": CODES,
    "codes": CODES,
    "query_items": ["a"] * ROWS,
    "gallery_items": ["a"] * ROWS,
    "scores": rng.random(20),
    "estimator": FunctionTransformer(),
    "output": "bits",
    "X": CODES,
    "download_if_missing": False,
    **{
        "n_bits": 8,
        "max_iter": 1,
        "n_iter": 1,
        "graph_iter": 1,
        "graph_units": 4,
        "hidden_units": 4,
        "space": "image",
        "batch_size": 8,
        "n_patterns": 2,
    },
    **{"image_size": 16, "patch_size": 8, "n_patches": 40, "n_neighbors": 1, "n_samples": 1},
    **{"n_resamples": 9, "n_queries": 1, "k": 2, "random_state": 0},
}
SPECIAL = {
    "convert_codes.codes": np.packbits(CODES, axis=1),
    "unpack_codes.codes": np.packbits(CODES, axis=1),
    "convert_codes.n_bits": 16,
    "retrieval_report.n_bits": 8,
    "precision_recall_by_radius.n_bits": 16,
    "unpack_codes.n_bits": 16,
    "RetrievalCurveDisplay.kind": "top-k",
    "make_scenes.image_size": 16,
    "BoWTextFeaturizer.X": list(RAW["text"]),
    "CLIPFeaturizer.X": PICTURES,
    "PatchFeaturizer.X": PICTURES,
    "features.X": RAW,
    "hashing.X": FEATURES,
    "supervised.X": FEATURES,
    **dict.fromkeys(
        ("supervised.y", "DCMHHasher.y", "DSCMRHasher.y"),
        np.asarray(FEATURES).argmax(axis=1) % 3,
    ),
    "SignHasher.n_bits": 2,
}
# What would take long, once the parameters have been checked.
STUBS = ["skhash.features._contrastive.fit.fit", "skhash.datasets._download._download"]


class Passed(Exception):
    """The checks have passed, and what would take long begins."""


# Errors that come after the checks.
PASSED = (Passed, FileNotFoundError, ImportError, FloatingPointError)


def signatures(path):
    """Yield the signatures of a public name and of its methods, by the name of the method."""
    public = PUBLIC[path]
    yield "", inspect.signature(public)
    if inspect.isclass(public):
        for name, method in inspect.getmembers(public, callable):
            ours = str(getattr(method, "__module__", None)).startswith("skhash")
            if ours and not name.startswith("_") and "metadata_requests" not in str(method):
                yield name, inspect.signature(method)


def cases():
    bases = [path for path in PUBLIC if path.split(".")[-1] in hashing._BASES]  # no methods yet
    for path in (path for path in PUBLIC if path not in bases):
        for method, signature in signatures(path):
            for name, parameter in signature.parameters.items():
                if name != "self" and parameter.kind is not parameter.VAR_KEYWORD:
                    yield path, method, name


def declared(path, name):
    """Return what a hasher says that a number of its own may be, or None."""
    for parameter in getattr(PUBLIC[path], "__dataclass_fields__", {}).values():
        if parameter.name == name and "check" in parameter.metadata:
            (check, *arguments), none = parameter.metadata["check"], parameter.metadata["none"]
            kinds = {check_integer: integer, check_real: real}
            return kinds[check](*arguments, none=none) if check in kinds else None
    return None


def kind_of(path, method, name):
    short = path.split(".")[-1]
    if not method and (kind := declared(path, name)):
        return kind
    within = f"{short}.method.{name}" if method else f"{short}.{name}"
    for key in (within, f"{short}.{name}", name):
        if key in PARAMETERS:
            return PARAMETERS[key]
    raise AssertionError(
        f"say in PARAMETERS of {__name__} which values {name!r} of {path} may have, and check it "
        "with skhash._inputs.checks."
    )


def argument(path, name, default):
    *_, module, short = path.split(".")
    for known in (SPECIAL, ARGUMENTS):
        for key in (f"{short}.{name}", f"{module}.{name}", name):
            if key in known:
                return known[key]
    return default


def arguments(path, function, **given):
    filled = {
        name: argument(path, name, parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
        if name != "self" and parameter.kind is not parameter.VAR_KEYWORD
    } | given
    return {name: value for name, value in filled.items() if value is not inspect.Parameter.empty}


def call(path, method, name, value):
    """Call a public name with one parameter set; of a class, the method that checks it."""
    public = PUBLIC[path]
    if not inspect.isclass(public):
        return public(**arguments(path, public, **{name: value}))
    if path in DISPLAYS:
        make = public.from_codes if method in ("", "plot") else getattr(public, method)
        if method == "":
            display = make(**arguments(path, make))
            setattr(display, name, value)
            return display.plot()
        if method == "plot":
            return make(**arguments(path, make)).plot(**{name: value})
        return make(**arguments(path, make, **{name: value}))
    parameters = arguments(path, public, **({} if method else {name: value}))
    estimator = public(**parameters)
    if not hasattr(public, "fit"):
        return estimator(FunctionTransformer(), CODES)
    if method == "as_scorer":
        return public.as_scorer(**{name: value})(FunctionTransformer(), CODES)
    if method not in ("open", "set_output"):
        X = argument(path, "X", None)
        estimator.fit(X, *([labels_for(public, X)] if path in BY_LABELS else []))
    if not method:
        return estimator
    function = getattr(estimator, method)
    return function(**arguments(path, function, **{name: value}))


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    def stop(*args, **options):
        raise Passed

    for stub in STUBS:
        monkeypatch.setattr(stub, stop)
    missing = tmp_path / "none"
    for name in ("data_home", "folder", "captions", "shards", "path"):
        monkeypatch.setitem(ARGUMENTS, name, missing)


def quietly(*parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", RuntimeWarning)  # of arithmetic
        try:
            return call(*parameters)
        finally:
            pyplot.close("all")


CHECKED = [case for case in cases() if kind_of(*case) is not other]


def outcome(path, method, name, value):
    """Say what becomes of a value: an error that names the parameter, success, or a fault."""
    try:
        quietly(path, method, name, value)
    except (ValueError, TypeError) as error:
        message = str(error)
        return "refused" if re.search(rf"\b{name}\b", message[:500]) else repr(error)
    except PASSED:
        pass
    return "accepted"


@pytest.mark.parametrize(("path", "method", "name"), CHECKED)
def test_a_hostile_value_is_refused_by_name_or_allowed(path, method, name):
    allows = kind_of(path, method, name)
    outcomes = {label: outcome(path, method, name, value) for label, value in HOSTILE.items()}
    right = {label: ("refused", "accepted")[: 1 + allows(v)] for label, v in HOSTILE.items()}
    assert not {label: what for label, what in outcomes.items() if what not in right[label]}


def numbers_of_numpy():
    for path, method, name in CHECKED:
        public = PUBLIC[path]
        function = getattr(public, method) if method else public
        value = argument(path, name, inspect.signature(function).parameters[name].default)
        if type(value) in (int, float) and path not in DISPLAYS and method != "from_codes":
            yield path, method, name, value


@pytest.mark.parametrize(("path", "method", "name", "value"), list(numbers_of_numpy()))
def test_numbers_of_numpy_give_what_numbers_of_python_give(path, method, name, value):
    narrow = np.uint8 if isinstance(value, int) else np.float64
    narrow = np.int64 if isinstance(value, int) and value > 255 else narrow

    def result(given):
        try:
            found = quietly(path, method, name, given)
        except PASSED as error:
            return type(error)
        if hasattr(found, "fit"):
            fitted = {key: v for key, v in vars(found).items() if key.endswith("_")}
            return {key: v for key, v in fitted.items() if key != "history_"}
        return found

    assert digest(result(narrow(value))) == digest(result(value))


def test_nothing_in_the_table_is_unused():
    used = {name for _, _, name in cases()}
    unused = {key.split(".")[-1] for key in PARAMETERS} - used
    assert not unused
