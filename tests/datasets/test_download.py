import os
import sys

import pytest

from skhash.datasets import _download
from skhash.datasets._download import fetch_files

FILES = ["a.list", "b.mat"]
CONTENT = {"set/a.list": b"words", "set/b.mat": bytes(range(256)) * 20, "set/c.jpg": b"not wanted"}


def write(folder, files=FILES):
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        (folder / file).write_text(file)
    return folder


def find(**options):
    return fetch_files("toy", FILES, url=None, **options)


@pytest.mark.parametrize("inside", [".", "toy"])
def test_data_home_may_hold_the_files_or_a_subfolder(tmp_path, inside):
    folder = write(tmp_path / "data" / inside)
    assert find(data_home=str(tmp_path / "data")) == folder


@pytest.mark.parametrize("inside", [".", "toy"])
def test_skhash_data_may_hold_the_files_or_a_subfolder(tmp_path, monkeypatch, home, inside):
    folder = write(tmp_path / "data" / inside)
    monkeypatch.setenv("SKHASH_DATA", str(tmp_path / "data"))
    assert find() == folder
    assert os.listdir(home) == []


def test_order_of_places_is_data_home_then_skhash_data_then_default(tmp_path, monkeypatch, home):
    default, shared, given = (
        write(folder) for folder in (home / "skhash_data", tmp_path / "shared", tmp_path / "given")
    )
    assert find() == default
    monkeypatch.setenv("SKHASH_DATA", str(shared))
    assert find() == shared
    assert find(data_home=given) == given
    assert find(data_home=tmp_path / "empty") == shared


def test_an_empty_skhash_data_names_no_folder(tmp_path, monkeypatch, home):
    default = write(home / "skhash_data")
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SKHASH_DATA", "")
    assert find() == default


def test_default_is_not_looked_in_when_data_home_is_given(tmp_path, home):
    write(home / "skhash_data")
    with pytest.raises(FileNotFoundError, match="no folder holds all of"):
        find(data_home=tmp_path / "empty")


@pytest.mark.parametrize("lacking", FILES)
def test_folder_that_lacks_a_file_counts_as_missing(tmp_path, lacking):
    write(tmp_path / "data")
    (tmp_path / "data" / lacking).unlink()
    with pytest.raises(
        FileNotFoundError, match=r"no folder holds all of a\.list, b\.mat"
    ) as raised:
        find(data_home=tmp_path / "data")
    assert f"; {tmp_path / 'data'} lacks {lacking}: " in str(raised.value)


def test_of_several_folders_the_one_that_holds_most_of_the_files_is_said_to_lack_some(tmp_path):
    folder = write(tmp_path / "toy", FILES[:1])
    with pytest.raises(FileNotFoundError) as raised:
        find(data_home=tmp_path)
    assert f"; {folder} lacks {FILES[1]}: " in str(raised.value)


def test_where_no_file_is_found_no_folder_is_named_for_what_it_lacks(tmp_path):
    with pytest.raises(FileNotFoundError) as raised:
        find(data_home=tmp_path)
    assert "lacks" not in str(raised.value)


def test_missing_files_name_the_folders_and_the_ways_out(tmp_path, monkeypatch, home):
    given, shared = tmp_path / "given", tmp_path / "shared"
    options = {"url": "http://unused", "download_if_missing": False}
    with pytest.raises(OSError, match="set download_if_missing=True, pass such") as caught:
        fetch_files("toy", FILES, **options)
    assert f"looked in {home / 'skhash_data'} and" in str(caught.value)
    monkeypatch.setenv("SKHASH_DATA", str(shared))
    with pytest.raises(OSError, match="data_home, or name it in the environment") as caught:
        fetch_files("toy", FILES, data_home=given, **options)
    assert f"looked in {given}, {shared} and" in str(caught.value)
    assert not given.exists()
    assert os.listdir(home) == []


def test_no_address_means_no_download(home):
    with pytest.raises(FileNotFoundError, match="there is no download of them, pass such a folder"):
        find()
    assert os.listdir(home) == []


def test_download_keeps_the_named_files_alone(serve_zip, home):
    folder = fetch_files("toy", FILES, url=serve_zip(CONTENT))
    assert folder == home / "skhash_data" / "toy"
    assert os.listdir(folder.parent) == ["toy"]
    found = {f"set/{path.name}": path.read_bytes() for path in folder.iterdir()}
    assert found == {name: CONTENT[name] for name in ("set/a.list", "set/b.mat")}


def test_download_goes_to_the_given_folder_once(serve_zip, tmp_path, home):
    given = tmp_path / "a" / "given"
    folder = fetch_files("toy", FILES, url=serve_zip(CONTENT), data_home=given)
    assert folder == given / "toy"
    assert fetch_files("toy", FILES, url="http://unused", data_home=given) == folder
    assert os.listdir(home) == []


def test_download_never_writes_to_skhash_data(serve_zip, tmp_path, monkeypatch, home):
    (tmp_path / "shared").mkdir()
    monkeypatch.setenv("SKHASH_DATA", str(tmp_path / "shared"))
    fetch_files("toy", FILES, url=serve_zip(CONTENT))
    assert os.listdir(tmp_path / "shared") == []
    assert os.listdir(home / "skhash_data") == ["toy"]


def test_download_completes_a_folder_that_lacks_a_file(serve_zip, home):
    write(home / "skhash_data" / "toy", ["a.list"])
    folder = fetch_files("toy", FILES, url=serve_zip(CONTENT))
    assert (folder / "a.list").read_bytes() == b"words"
    assert sorted(os.listdir(folder)) == FILES


def _overwrite(archive, values):
    start = archive.index(b"set/b.mat") + len(b"set/b.mat")
    return archive[:start] + values + archive[start + len(values) :]


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda archive: archive[:-50], id="truncated"),
        pytest.param(lambda archive: _overwrite(archive, bytes(40)), id="zeroed"),
        pytest.param(lambda archive: _overwrite(archive, b"\xff" * 40), id="no deflate stream"),
        pytest.param(lambda archive: b"<html>moved</html>", id="no archive"),
        pytest.param(lambda archive: b"", id="empty"),
    ],
)
def test_broken_archive_leaves_nothing_behind(serve_zip, home, spoil):
    with pytest.raises(OSError, match=r"the archive http.* could not be fetched .*: try again, or"):
        fetch_files("toy", FILES, url=serve_zip(CONTENT, spoil))
    assert os.listdir(home / "skhash_data") == []


def test_missing_archive_leaves_nothing_behind(served, home):
    with pytest.raises(OSError, match=r"could not be fetched \(404 .*: try again"):
        fetch_files("toy", FILES, url=f"{served[1]}/nowhere.zip")
    assert os.listdir(home / "skhash_data") == []


def test_missing_file_of_the_archive_is_named(serve_zip):
    with pytest.raises(OSError, match=r"it lacks b\.mat\)"):
        fetch_files("toy", FILES, url=serve_zip({"set/a.list": b"words"}))


def test_archive_cannot_write_outside_its_folder(serve_zip, tmp_path, home):
    url = serve_zip({f"../../../{file}": b"" for file in FILES})
    folder = fetch_files("toy", FILES, url=url)
    assert {path.parent for path in tmp_path.rglob("a.list")} == {folder}


def test_download_without_pooch_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ImportError, match=r'pip install "scikit-hash\[datasets\]"'):
        fetch_files("toy", FILES, url="http://unused")


def test_an_archive_that_would_fill_the_disk_is_not_unpacked(serve_zip, home, monkeypatch):
    monkeypatch.setattr(_download, "MAX_SIZE", 1000)
    url = serve_zip({"a.mat": bytes(1001)})
    with pytest.raises(OSError, match="it holds 1001 bytes, more than 1000"):
        fetch_files("a", ["a.mat"], url=url)
    assert [path.name for path in home.rglob("*.mat")] == []


@pytest.mark.parametrize("at", [6, 8])  # says that it is encrypted, or compressed in another way
def test_an_archive_that_cannot_be_unpacked_raises(serve_zip, at):
    def spoil(content):
        content = bytearray(content)
        for start in (0, content.index(b"PK\x01\x02") + 2):
            content[start + at] |= 1
        return bytes(content)

    url = serve_zip({"a.mat": b"x"}, spoil)
    with pytest.raises(OSError, match=r"could not be fetched .*: try again, or unpack it by hand"):
        fetch_files("a", ["a.mat"], url=url)
