import os
from pathlib import Path

import pytest

from skhash.datasets import clear_data_home, get_data_home


def test_default_is_a_folder_of_the_user(home):
    assert get_data_home() == str(home / "skhash_data")
    assert (home / "skhash_data").is_dir()


def test_skhash_data_is_not_the_data_home(home, monkeypatch):
    monkeypatch.setenv("SKHASH_DATA", str(home / "shared"))
    assert get_data_home() == str(home / "skhash_data")
    assert not (home / "shared").exists()


@pytest.mark.parametrize("kind", [str, Path])
def test_given_folder_is_created_with_its_parents(home, kind):
    folder = home / "a" / "b"
    assert get_data_home(kind(folder)) == str(folder)
    assert folder.is_dir()


def test_tilde_is_the_user_home(home):
    assert get_data_home("~/mine") == str(home / "mine")


def test_existing_files_are_kept(home):
    (home / "file").write_text("kept")
    get_data_home(home)
    assert (home / "file").read_text() == "kept"


def test_clear_deletes_the_folder_and_nothing_else(home):
    folder = get_data_home()
    Path(folder, "file").write_text("deleted")
    (home / "other").write_text("kept")
    clear_data_home()
    assert os.listdir(home) == ["other"]


def test_clear_of_a_missing_folder_creates_nothing(home):
    clear_data_home(home / "missing")
    assert os.listdir(home) == []


@pytest.mark.parametrize("function", [get_data_home, clear_data_home])
def test_no_path_raises(function):
    with pytest.raises(TypeError, match=r"data_home must be a path, got 3: give a str"):
        function(3)
