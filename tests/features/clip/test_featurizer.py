import os
import pickle
import subprocess
import sys
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline

from skhash.features import CLIPFeaturizer
from skhash.features._clip import featurizer as _clip

ROOT = Path(__file__).parents[2]
TEXTS = ["two dogs", "a cat", "", "a cat on a mat", "two dogs"]


@pytest.fixture
def images(tiny, weights):
    return CLIPFeaturizer(tiny, pretrained=weights, device="cpu")


@pytest.fixture
def texts(tiny, weights):
    return CLIPFeaturizer(tiny, pretrained=weights, modality="text", device="cpu")


@pytest.fixture
def oracle(open_clip, tiny, weights):
    """open_clip's own model and preprocessing with the same weights."""
    return open_clip.create_model_from_pretrained(tiny, pretrained=str(weights))


@pytest.mark.parametrize("normalize", [True, False])
def test_images_equal_those_of_open_clip(images, oracle, pictures, normalize):
    import torch

    model, preprocess = oracle
    with torch.inference_mode():
        batch = torch.stack([preprocess(picture) for picture in pictures])
        expected = model.eval().encode_image(batch, normalize=normalize).numpy()
    vectors = images.set_params(normalize=normalize).transform(pictures)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected, atol=1e-5)


@pytest.mark.parametrize("normalize", [True, False])
def test_texts_equal_those_of_open_clip(texts, open_clip, tiny, oracle, normalize):
    import torch

    model, _ = oracle
    with torch.inference_mode():
        tokens = open_clip.get_tokenizer(tiny)(TEXTS)
        expected = model.eval().encode_text(tokens, normalize=normalize).numpy()
    vectors = texts.set_params(normalize=normalize).transform(TEXTS)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected, atol=1e-5)


def test_normalized_embeddings_have_length_one(images, pictures):
    np.testing.assert_allclose(np.linalg.norm(images.transform(pictures), axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_the_batch_size_changes_nothing(images, texts, pictures, batch_size):
    for featurizer, items in [(images, pictures), (texts, TEXTS)]:
        expected = featurizer.transform(items)
        vectors = clone(featurizer).set_params(batch_size=batch_size).transform(items)
        np.testing.assert_allclose(vectors, expected, atol=1e-5)


def test_every_kind_of_image_gives_the_same(images, pictures, paths):
    expected = images.transform(pictures)
    for items in (
        paths,
        [str(path) for path in paths],
        [path.read_bytes() for path in paths],
        [np.asarray(picture) for picture in pictures],
        np.stack([np.asarray(picture) for picture in pictures]),
        pd.Series(pictures),
        pd.DataFrame({"image": paths}),
        pl.DataFrame({"image": [str(path) for path in paths]}),
        np.array(paths, dtype=object).reshape(-1, 1),
        [{"bytes": path.read_bytes(), "path": path.name} for path in paths],
        pl.DataFrame({"image": [{"bytes": None, "path": str(path)} for path in paths]}),
    ):
        np.testing.assert_array_equal(images.transform(items), expected)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK", "LA"])
def test_pictures_of_other_modes_become_rgb(images, pictures, mode):
    picture = pictures[0].convert(mode)
    expected = images.transform([picture.convert("RGB")])
    np.testing.assert_array_equal(images.transform([picture]), expected)


def test_a_palette_with_transparent_colours_is_read_without_a_warning(images, pictures):
    file = BytesIO()
    palette = pictures[0].convert("P")
    palette.save(file, "PNG", transparency=bytes(range(256)))
    expected = images.transform([palette])
    np.testing.assert_array_equal(images.transform([file.getvalue()]), expected)


@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 1)])
def test_grey_arrays_are_grey_pictures(images, shape):
    grey = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    expected = images.transform([np.repeat(grey.reshape(9, 7, 1), 3, axis=2)])
    np.testing.assert_array_equal(images.transform([grey]), expected)


def test_a_tiny_colour_array_stays_in_colour(images):
    colour = np.array([[[200, 0, 90]]], dtype=np.uint8)
    expected = images.transform([Image.new("RGB", (1, 1), (200, 0, 90))])
    np.testing.assert_array_equal(images.transform([colour]), expected)


def test_the_orientation_in_exif_is_ignored(images, pictures, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    pictures[0].save(tmp_path / "turned.png", exif=exif)
    pictures[0].save(tmp_path / "plain.png")
    turned, plain = images.transform([tmp_path / "turned.png", tmp_path / "plain.png"])
    np.testing.assert_allclose(turned, plain, atol=1e-6)  # a place in the batch moves the last bit


def test_each_distinct_item_is_encoded_once(counted, images, texts, pictures, paths):
    content = paths[1].read_bytes()
    items = [paths[0], str(paths[0]), content, bytes(bytearray(content)), pictures[2], pictures[2]]
    vectors = images.transform(items)
    assert sum(counted) == 3
    np.testing.assert_array_equal(vectors[::2], vectors[1::2])
    counted.clear()
    texts.transform(["a", "b", "a", "a"])
    assert sum(counted) == 2


def test_batches_are_no_larger_than_asked_for(counted, images, pictures):
    images.set_params(batch_size=2).transform(pictures)
    assert counted == [2, 2, 1]


def test_the_process_loads_a_model_once(monkeypatch, open_clip, tiny, weights, pictures, tmp_path):
    path = tmp_path / "copy.pt"
    path.write_bytes(weights.read_bytes())
    loads = []
    create = open_clip.create_model_and_transforms
    monkeypatch.setattr(
        open_clip,
        "create_model_and_transforms",
        lambda *args, **options: loads.append(args) or create(*args, **options),
    )
    featurizer = CLIPFeaturizer(tiny, pretrained=path, device="cpu")
    featurizer.transform(pictures)
    clone(featurizer).set_params(modality="text", batch_size=2).transform(TEXTS)
    pickle.loads(pickle.dumps(featurizer)).transform(pictures)
    assert len(loads) == 1


def test_weights_that_were_written_again_are_loaded_again(
    open_clip, tiny, weights, pictures, tmp_path
):
    import torch

    path = tmp_path / "weights.pt"
    path.write_bytes(weights.read_bytes())
    featurizer = CLIPFeaturizer(tiny, pretrained=path, device="cpu")
    before = featurizer.transform(pictures)
    state = torch.load(path, weights_only=True)
    state["visual.proj"] = state["visual.proj"].flip(1)
    torch.save(state, path)
    os.utime(path, ns=(1, 1))  # a clock may tick too slowly to tell
    np.testing.assert_allclose(featurizer.transform(pictures), before[:, ::-1], atol=1e-5)


def test_safetensors_give_the_same_as_a_state_dict(images, weights, tiny, pictures, tmp_path):
    import torch
    from safetensors.torch import save_file

    path = tmp_path / "tiny.safetensors"
    save_file(torch.load(weights, weights_only=True), path)
    vectors = CLIPFeaturizer(tiny, pretrained=str(path), device="cpu").transform(pictures)
    np.testing.assert_array_equal(vectors, images.transform(pictures))


def random_vectors(name, pictures):
    with pytest.warns(UserWarning, match=r"random weights, because pretrained=None"):
        return CLIPFeaturizer(name, pretrained=None, device="cpu").transform(pictures)


def test_random_weights_are_the_same_whatever_the_generator_holds(tiny, pictures):
    import torch

    from skhash.features._towers.models import load_model

    vectors = []
    for seed in (1, 2):
        load_model.cache_clear()
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            vectors.append(random_vectors(tiny, pictures))
    np.testing.assert_array_equal(*vectors)


def test_building_a_model_leaves_the_generator_alone(tiny, pictures):
    import torch

    from skhash.features._towers.models import load_model

    load_model.cache_clear()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(123)
        state = torch.get_rng_state()
        random_vectors(tiny, pictures)
        assert torch.equal(torch.get_rng_state(), state)


def test_random_weights_warn_once_a_model(tiny, pictures):
    from skhash.features._towers.models import load_model

    load_model.cache_clear()
    random_vectors(tiny, pictures)
    with warnings.catch_warnings(record=True) as caught:
        CLIPFeaturizer(tiny, pretrained=None, device="cpu").transform(pictures)
    assert not caught


def test_transform_works_without_fit_and_fit_loads_nothing(monkeypatch, images, pictures):
    expected = images.transform(pictures)
    monkeypatch.setattr(_clip, "load_model", lambda *_: pytest.fail("a model was loaded"))
    before = dict(vars(images))
    assert images.fit(pictures) is images
    assert vars(images) == before
    monkeypatch.undo()
    np.testing.assert_array_equal(images.fit_transform(pictures), expected)


def test_a_pickle_holds_names_and_not_weights(images, pictures):
    expected = images.transform(pictures)
    content = pickle.dumps(images)
    assert len(content) < 2000
    np.testing.assert_array_equal(pickle.loads(content).transform(pictures), expected)


def test_it_is_a_step_of_a_pipeline(images, pictures):
    pipeline = make_pipeline(images, PCA(2)).fit(pictures)
    assert pipeline.transform(pictures[:2]).shape == (2, 2)
    assert list(pipeline.get_feature_names_out()) == ["pca0", "pca1"]


def test_names_are_known_without_weights(tiny):
    names = CLIPFeaturizer(tiny).get_feature_names_out()
    assert list(names) == [f"clip{j}" for j in range(8)]


def test_pandas_output_is_named_and_keeps_the_index(images, paths):
    table = pd.DataFrame({"image": paths}, index=list("abcde"))
    frame = images.set_output(transform="pandas").transform(table)
    assert list(frame.columns) == [f"clip{j}" for j in range(8)]
    assert list(frame.index) == list("abcde")


def broken_images(paths, pictures, tmp_path):
    truncated = tmp_path / "truncated.jpg"
    pictures[0].resize((64, 64)).save(truncated)
    truncated.write_bytes(truncated.read_bytes()[:700])
    junk = tmp_path / "junk.png"
    junk.write_bytes(b"no picture")
    return [paths[0], truncated, junk, tmp_path / "missing.png", b"junk", paths[1]]


@pytest.mark.parametrize("row", [1, 2, 3, 4])
def test_an_image_that_cannot_be_read_names_its_row(images, paths, pictures, tmp_path, row):
    items = broken_images(paths, pictures, tmp_path)
    name = items[row].name if isinstance(items[row], Path) else "4 bytes"
    with pytest.raises(ValueError, match=rf"cannot be read, row 1 .*{name}.*on_error='nan'"):
        images.transform([items[0], items[row]])


def test_the_row_that_is_named_counts_repeated_images(images, paths):
    with pytest.raises(ValueError, match="row 2 "):
        images.transform([paths[0], paths[0], b"junk"])


def test_on_error_nan_keeps_the_rows_and_counts(images, paths, pictures, tmp_path):
    items = broken_images(paths, pictures, tmp_path)
    images.set_params(on_error="nan", batch_size=2)
    with pytest.warns(UserWarning, match=r"images of 4 of 6 rows .* row 1 .*; \.\.\.$"):
        vectors = images.transform(items)
    assert vectors.shape == (6, 8)
    np.testing.assert_array_equal(np.isnan(vectors).all(axis=1), [False, *[True] * 4, False])
    np.testing.assert_allclose(vectors[[0, 5]], images.transform(paths[:2]), atol=1e-5)


def test_a_decompression_bomb_is_an_image_that_cannot_be_read(monkeypatch, images, paths):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match=r"row 0 .*DecompressionBombError"):
        images.transform(paths[:1])


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_pixels_of_an_unknown_range_are_refused(images, dtype):
    wide = Image.fromarray(np.full((4, 4), 1000, dtype=dtype))
    with pytest.raises(ValueError, match=r"row 0 .*range is unknown"):
        images.transform([wide])


@pytest.mark.parametrize("alone", ["a.png", b"bytes", Path("a.png"), None])
def test_a_single_image_is_refused(images, alone):
    with pytest.raises(TypeError, match=r"sequence of images, one a row, got .*into a list"):
        images.fit(alone)


def test_a_picture_alone_is_refused(images, pictures):
    with pytest.raises(TypeError, match="sequence of images"):
        images.fit(pictures[0])
    with pytest.raises(ValueError, match=r"got an array of shape \(20, 24, 3\)"):
        images.fit(np.asarray(pictures[0]))


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_a_missing_image_is_named_by_its_row(images, pictures, missing):
    with pytest.raises(ValueError, match=r"row 1 of X is .*, not an image"):
        images.set_params(on_error="nan").transform([pictures[0], missing])


def test_a_row_of_another_type_is_named(images):
    with pytest.raises(
        TypeError, match=r"row 0 of X must be a path, bytes, .* a PIL image .* got int"
    ):
        images.fit([3])


@pytest.mark.parametrize(
    "array", [np.zeros((4, 4)), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4), np.uint8)]
)
def test_an_array_that_is_no_picture_is_refused(images, array):
    with pytest.raises(ValueError, match="row 0 of X must be a uint8 array of shape"):
        images.fit([array])


def test_a_url_is_refused(images):
    with pytest.raises(ValueError, match=r"row 0 of X is the URL .*img2dataset"):
        images.fit(["https://example.org/a.png"])


def test_no_rows_are_refused(images, texts):
    for featurizer in (images, texts):
        with pytest.raises(ValueError, match="0 samples"):
            featurizer.transform([])


def test_texts_are_checked_as_texts(texts):
    with pytest.raises(ValueError, match="row 1 of X is None, not a text"):
        texts.fit(["a", None])


def test_long_texts_warn_with_their_number(texts):
    exact = "a b c d e f"  # six tokens, the start and the end: eight
    longer = [exact + " g", "a b c d e f g h i j"]
    texts.transform([exact])
    with pytest.warns(UserWarning, match=r"2 of 3 distinct texts were cut, .* the 8 that"):
        texts.transform([exact, *longer, longer[0]])


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("modality", "sound", "modality must be one of 'image', 'text', got 'sound'"),
        ("on_error", "skip", "on_error must be one of 'raise', 'nan', got 'skip'"),
        ("long_text", "cut", "long_text must be one of 'truncate', 'raise', got 'cut'"),
        ("precision", "int8", "precision must be one of 'fp32', 'bf16', 'fp16', got 'int8'"),
        ("batch_size", 0, "batch_size must be at least 1, got 0"),
        ("n_workers", -1, "n_workers must be at least 0, got -1"),
    ],
)
def test_a_wrong_parameter_is_refused(images, name, value, message):
    with pytest.raises(ValueError, match=message):
        images.set_params(**{name: value}).fit(["a.png"])


def test_the_tags_say_that_no_fit_is_needed(images):
    tags = images.__sklearn_tags__()
    assert not tags.requires_fit
    assert tags.input_tags.string


def test_importing_the_room_loads_nothing_heavy():
    code = (
        "import sys, skhash.features; "
        "print([m for m in ('torch', 'open_clip', 'PIL', 'transformers') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert result.stdout.strip() == "[]"


def test_two_processes_have_the_same_random_weights(tiny, tiny_config, paths, tmp_path):
    from skhash.features._towers.models import load_model

    code = (
        "import sys, warnings; import numpy as np\n"
        "from skhash.features import CLIPFeaturizer\n"
        "from skhash._libraries import import_with_torchvision\n"
        "warnings.simplefilter('ignore')\n"
        "import_with_torchvision('open_clip').add_model_config(sys.argv[1])\n"
        "featurizer = CLIPFeaturizer(sys.argv[2], pretrained=None, device='cpu')\n"
        "np.save(sys.argv[3], featurizer.transform([sys.argv[4]]))\n"
    )
    result = tmp_path / "vectors.npy"
    subprocess.run(
        [sys.executable, "-c", code, tiny_config, tiny, result, paths[0]], check=True, cwd=ROOT
    )
    load_model.cache_clear()
    np.testing.assert_allclose(np.load(result), random_vectors(tiny, paths[:1]), atol=1e-6)


def test_transform_writes_nothing_down_by_default(images, pictures):
    before = dict(vars(images))
    images.transform(pictures)
    assert vars(images) == before


@pytest.mark.parametrize("modality", ["image", "text"])
def test_bfloat16_computes_with_less_and_gives_float32(tiny, weights, pictures, modality):
    items = pictures if modality == "image" else TEXTS
    featurizer = CLIPFeaturizer(tiny, pretrained=weights, modality=modality, device="cpu")
    exact = featurizer.transform(items)
    rough = clone(featurizer).set_params(precision="bf16").transform(items)
    assert rough.dtype == np.float32
    assert not np.array_equal(rough, exact)
    np.testing.assert_allclose(rough, exact, atol=0.03)
    np.testing.assert_allclose(np.linalg.norm(rough, axis=1), 1, rtol=1e-5)


def test_half_precision_is_refused_on_the_cpu(images, pictures):
    with pytest.raises(ValueError, match=r"'fp16' is for GPUs, .* use 'bf16'"):
        images.set_params(precision="fp16").transform(pictures)


@pytest.mark.parametrize("modality", ["image", "text"])
def test_a_compiled_model_gives_the_same(monkeypatch, tiny, weights, pictures, modality):
    import torch

    compiled = []

    def compile_without_code(self):
        compiled.append(type(self).__name__)
        self._compiled_call_impl = torch.compile(self._call_impl, backend="eager")

    monkeypatch.setattr(torch.nn.Module, "compile", compile_without_code)
    _clip.load_model.cache_clear()
    items = pictures if modality == "image" else TEXTS
    plain = CLIPFeaturizer(tiny, pretrained=weights, modality=modality, batch_size=2, device="cpu")
    fast = clone(plain).set_params(compile=True)
    for _ in range(2):
        np.testing.assert_allclose(fast.transform(items), plain.transform(items), atol=1e-5)
    assert compiled == ["VisionTransformer", "Transformer"]
