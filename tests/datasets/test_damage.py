"""Every loader reads a small file, damaged in many ways: the right rows, or a plain error."""

import io
import json
import tarfile
import warnings
from functools import partial

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy.io import savemat

from skhash import datasets
from skhash.datasets import _benchmarks

N = 8
N_FLIPS = 100
TEXTS = [f"caption {i} of a dog" for i in range(N)]
RNG = np.random.default_rng(0)


def pictures(folder):
    (folder / "photos").mkdir()
    for i in range(N):
        (folder / "photos" / f"{i}.jpg").touch()
    return folder / "photos"


def image_table(folder, kind):
    path = folder / f"captions.{kind}"
    table = pd.DataFrame({"image": [f"{i}.jpg" for i in range(N)], "text": TEXTS, "kind": "ab" * 4})
    table["kind"] = list("ab" * (N // 2))
    writers = {
        "csv": partial(table.to_csv, path, index=False),
        "tsv": partial(table.to_csv, path, index=False, sep="\t"),
        "json": partial(table.to_json, path, orient="records"),
        "jsonl": partial(table.to_json, path, orient="records", lines=True),
        "parquet": partial(table.to_parquet, path, engine="pyarrow"),
    }
    writers[kind]()
    load = partial(datasets.load_image_table, pictures(folder), path, label_column="kind")
    return load, [path], kind != "parquet"


def coco_captions(folder):
    images = [{"id": i, "file_name": f"{i}.jpg"} for i in range(N)]
    captions = [{"id": i, "image_id": i, "caption": text} for i, text in enumerate(TEXTS)]
    instances = {
        "images": images,
        "categories": [{"id": 3, "name": "dog"}],
        "annotations": [{"id": 1, "image_id": 4, "category_id": 3}],
    }
    files = [folder / "captions.json", folder / "instances.json"]
    files[0].write_text(json.dumps({"images": images, "annotations": captions}))
    files[1].write_text(json.dumps(instances))
    load = partial(datasets.load_coco_captions, pictures(folder), files[0], instances=files[1])
    return load, files, True


def flickr_captions(folder, line, head=""):
    path = folder / "captions.txt"
    path.write_text(head + "".join(line.format(i, text) for i, text in enumerate(TEXTS)))
    # A caption may hold the separators of the next line.
    return partial(datasets.load_flickr_captions, pictures(folder), path), [path], False


def karpathy(folder):
    images = [
        {"filename": f"{i}.jpg", "split": "train", "sentences": [{"raw": text}]}
        for i, text in enumerate(TEXTS)
    ]
    path = folder / "dataset.json"
    path.write_text(json.dumps({"images": images}))
    # A picture whose split is misspelt is in another split.
    return partial(datasets.load_karpathy, pictures(folder), path), [path], False


def webdataset(folder, mode):
    path = folder / "0.tar"
    with tarfile.open(path, mode) as shard:
        for i, text in enumerate(TEXTS):
            for suffix, content in {"jpg": b"J", "txt": text.encode(), "cls": b"3"}.items():
                member = tarfile.TarInfo(f"{i}.{suffix}")
                member.size = len(content)
                shard.addfile(member, io.BytesIO(content))
    return partial(datasets.load_webdataset, path, labels=True), [path], True


def wiki(folder):
    matrices = {
        f"{name}_{split}": RNG.random((N, width))
        for name, width in {"I": 128, "T": 10}.items()
        for split in ("tr", "te")
    }
    savemat(folder / "raw_features.mat", matrices, do_compression=True)
    (folder / "categories.list").write_text("\n".join("abcdefghij"))
    for name in ("trainset", "testset"):
        lines = [f"text{i}\timage{i}\t{i + 1}\n" for i in range(N)]
        (folder / f"{name}_txt_img_cat.list").write_text("".join(lines))
    files = [folder / "raw_features.mat", folder / "trainset_txt_img_cat.list"]
    return partial(datasets.fetch_wiki, data_home=folder, download_if_missing=False), files, True


def benchmark(folder, fetch, prefix, n_words, n_classes):
    pixels = RNG.integers(256, size=(N, 3, 4, 4), dtype=np.uint8)
    words = RNG.integers(2, size=(N, n_words)).astype(np.uint8)
    target = np.ones((N, n_classes), dtype=np.uint8)
    if prefix is None:
        files = [folder / "COCO.mat", folder / "COCO_BoW.npy"]
        with h5py.File(files[0], "w") as file:
            file["IAll"], file["LAll"], file["XAll"] = pixels, target.T, np.ones((4096, N), "f4")
            file["param/indexQuery"] = np.array([[1.0, 2.0]])
            file["param/indexDatabase"] = np.arange(3.0, N + 1)[np.newaxis]
        np.save(files[1], words)
    else:
        files = [folder / f"{prefix}-{variable}all.mat" for variable in "iyl"]
        with h5py.File(files[0], "w") as file:
            file["IAll"] = pixels
        savemat(files[1], {"YAll": words}, do_compression=True)
        savemat(files[2], {"LAll": target})
    return partial(fetch, data_home=folder, subset="all"), files, True


# Each loader and each format: a function that writes files and returns how to load them, the files,
# and whether no row may be lost unless there is an error.
LOADERS = {
    **{
        f"load_image_table {kind}": partial(image_table, kind=kind)
        for kind in ("csv", "tsv", "json", "jsonl", "parquet")
    },
    "load_coco_captions": coco_captions,
    "load_flickr_captions token": partial(flickr_captions, line="{0}.jpg#0\t{1}\n"),
    "load_flickr_captions csv": partial(flickr_captions, line="{0}.jpg| 0| {1}\n"),
    "load_flickr_captions table": partial(
        flickr_captions, line='{0}.jpg,"{1}"\n', head="image,caption\n"
    ),
    "load_karpathy": karpathy,
    **{
        f"load_webdataset {mode}": partial(webdataset, mode=mode)
        for mode in ("w", "w:gz", "w:bz2", "w:xz")
    },
    "fetch_wiki": wiki,
    "fetch_mirflickr25k": partial(
        benchmark,
        fetch=datasets.fetch_mirflickr25k,
        prefix="mirflickr25k",
        n_words=1386,
        n_classes=24,
    ),
    "fetch_nuswide": partial(
        benchmark, fetch=datasets.fetch_nuswide, prefix="nus-wide-tc10", n_words=1000, n_classes=10
    ),
    "fetch_mscoco": partial(
        benchmark, fetch=datasets.fetch_mscoco, prefix=None, n_words=2000, n_classes=80
    ),
}


@pytest.fixture(autouse=True)
def small_counts(monkeypatch):
    monkeypatch.setattr(_benchmarks, "MIRFLICKR_COUNTS", ((1, 1), (0, 1)))
    monkeypatch.setattr(_benchmarks, "NUSWIDE_COUNTS", ((1, 1), (0, 1)))


@pytest.fixture(params=LOADERS)
def loader(request, tmp_path):
    return LOADERS[request.param](tmp_path)


def test_every_loader_is_in_the_table():
    public = {name for name in datasets.__all__ if name.startswith(("load_", "fetch_"))}
    assert public == {name.split()[0] for name in LOADERS}


def n_rows(bunch):
    if "data" in bunch:
        return len(bunch.data)
    if "frame" in bunch:
        return len(bunch.frame)
    return min(len(bunch.text), len(list(bunch.image)))


def check_outcome(load, loses_none, what):
    """Load: there is a sentence that tells the reason, or no row is missing without one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found, message = n_rows(load()), "."
    except (ValueError, FileNotFoundError) as error:
        found, message = N, str(error)
    assert message.endswith("."), (what, message)
    assert len(message) < 1500, what
    assert found == N or (found < N and not loses_none), what


def test_a_whole_file_gives_its_rows(loader):
    load, _, _ = loader
    assert n_rows(load()) == N


def test_a_flipped_bit_gives_the_rows_or_an_error(loader):
    load, files, loses_none = loader
    rng = np.random.default_rng(0)
    for path in files:
        whole = path.read_bytes()
        for i in range(N_FLIPS):
            # Half of them near the beginning, where files say what they are.
            at = int(rng.integers(min(len(whole), 600) if i % 2 else len(whole)))
            bit = 1 << int(rng.integers(8))
            path.write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
            check_outcome(load, loses_none, f"{path.name}, byte {at}, bit {bit}")
        path.write_bytes(whole)


def test_a_cut_file_gives_an_error_or_the_rows_before_the_cut(loader):
    load, files, loses_none = loader
    for path in files:
        whole = path.read_bytes()
        for length in np.linspace(0, len(whole) - 1, 12).astype(int):
            path.write_bytes(whole[:length])
            # Lines that are gone leave no trace in a table.
            is_lines = path.suffix in {".csv", ".tsv", ".jsonl", ".txt"}
            check_outcome(load, loses_none and not is_lines, f"{path.name}, {length} bytes")
        path.write_bytes(whole)


def test_a_damaged_stretch_gives_the_rows_or_an_error(loader):
    load, files, _ = loader
    rng = np.random.default_rng(1)
    for path in files:
        whole = path.read_bytes()
        for i in range(30):
            at = int(rng.integers(len(whole)))
            junk = rng.bytes(8) if i % 2 else bytes(8)
            path.write_bytes((whole[:at] + junk + whole[at + 8 :])[: len(whole)])
            check_outcome(load, False, f"{path.name}, byte {at}, {junk}")
        path.write_bytes(whole)
