import ast
import os
import socket
import threading
from contextlib import chdir, suppress
from pathlib import Path

import pytest

import skhash
from skhash import _files
from skhash._files import TEMPORARY, regular, replaced, replaced_folder, restore


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# All of the source


SOURCES = sorted(Path(skhash.__file__).parent.rglob("*.py"))
# The demo is an application: it loads the model that it has saved itself.
LIBRARY = [source for source in SOURCES if source.parent.name != "demo"]
# What writes into temporary folders, and `_files` itself.
WRITERS = {"_files.py", "folder.py", "_download.py", "strangers.py"}


def calls(source):
    """Yield name, positional arguments and keywords of all calls."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            keywords = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
            arguments = [getattr(argument, "value", None) for argument in node.args]
            yield ast.unparse(node.func), arguments, keywords


@pytest.mark.parametrize("source", LIBRARY, ids=lambda path: path.name)
def test_nothing_is_loaded_that_may_run_code(source):
    for name, _, keywords in calls(source):
        last = name.rpartition(".")[2]
        assert name not in ("eval", "exec", "joblib.load"), name
        # Between two processes of one run, within a pickle.
        assert not name.startswith("pickle.load") or source.name == "images.py", name
        assert not keywords.get("allow_pickle"), name
        if name == "torch.load":
            assert keywords["weights_only"] is True
        if last in ("from_pretrained", "HFTokenizer"):
            assert keywords["trust_remote_code"] is False


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_files_are_written_by_one_function(source):
    for name, arguments, keywords in calls(source):
        last = name.rpartition(".")[2]
        modes = [*arguments[-1:], keywords.get("mode")]
        writes = last == "open" and any(
            isinstance(mode, str) and set("wax+") & set(mode) and len(mode) < 4 for mode in modes
        )
        writes |= last in ("write_bytes", "write_text", "mktemp", "savez", "tofile")
        assert not writes or source.name in WRITERS, name


# Files


def test_a_file_takes_its_name_when_it_is_whole(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with replaced(path) as file:
        file.write(b"new")
        file.seek(0)
        assert file.read() == b"new"
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with suppress(RuntimeError), replaced(path) as file:
        file.write(b"a long half")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_writers_at_the_same_time_have_names_of_their_own(tmp_path):
    path = tmp_path / "file"
    with replaced(path) as first, replaced(path) as second:
        first.write(b"first")
        second.write(b"second")
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_temporary_name_is_random_and_tells_whose_it_is(tmp_path):
    seen = set()
    for _ in range(2):
        with replaced(tmp_path / "file"):
            seen.update(path.name for path in tmp_path.iterdir() if path.name != "file")
    assert len(seen) == 2
    assert {TEMPORARY.sub("", name) for name in seen} == {"file"}


def test_a_link_in_the_way_of_a_temporary_file_is_not_followed(tmp_path, monkeypatch):
    monkeypatch.setattr(_files.secrets, "token_hex", lambda _: "0123456789abcdef")
    target = tmp_path / "target"
    (tmp_path / "file.0123456789abcdef.tmp").symlink_to(target)
    with pytest.raises(FileExistsError), replaced(tmp_path / "file"):
        pass
    assert not target.exists()


def test_a_link_is_replaced_and_its_target_stays(tmp_path):
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "file").symlink_to(tmp_path / "target")
    with replaced(tmp_path / "file") as file:
        file.write(b"new")
    assert (tmp_path / "target").read_bytes() == b"old"
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_regular_file_and_a_link_to_one_are_opened(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    for name in ("file", "link"):
        with regular(tmp_path / name) as file:
            assert file.read() == b"content"


@pytest.mark.skipif(os.name == "nt", reason="needs named pipes")
def test_what_is_no_regular_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    with chdir(tmp_path), socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        for name in ("pipe", "link", "socket", ".", "/dev/zero"):
            with pytest.raises(ValueError, match="is not a regular file: delete it, or give ano"):
                regular(Path(name))


# Folders


@pytest.fixture(params=["exchange", "two renames"])
def way(request, monkeypatch):
    """Let two folders be exchanged, or pretend that the system cannot do that."""
    if request.param == "two renames":
        monkeypatch.setattr(_files, "_exchange", lambda *_: False)
    return request.param


def write(folder, content):
    with replaced_folder(folder) as new:
        for name in content:
            (new / name).write_text(content)


def test_a_folder_takes_the_place_of_another_when_it_is_whole(tmp_path, way):
    folder = tmp_path / "folder"
    write(folder, "abc")
    with replaced_folder(folder) as new:
        (new / "d").write_text("d")
        assert names(folder) == ["a", "b", "c"]
    assert names(folder) == ["d"]
    assert names(tmp_path) == ["folder"]


def test_a_failure_while_a_folder_is_filled_leaves_the_old_one(tmp_path, way):
    write(tmp_path / "folder", "abc")
    with suppress(KeyboardInterrupt), replaced_folder(tmp_path / "folder"):
        raise KeyboardInterrupt
    assert names(tmp_path) == ["folder"]
    assert names(tmp_path / "folder") == ["a", "b", "c"]


@pytest.mark.parametrize("n_renames", range(3))
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_failure_of_any_rename_leaves_the_old_folder_or_the_new(
    tmp_path, monkeypatch, n_renames, error
):
    write(tmp_path / "folder", "abc")
    monkeypatch.setattr(_files, "_exchange", lambda *_: False)
    rename, left = Path.rename, n_renames

    def failing(self, target):
        nonlocal left
        left -= 1
        if left == -1:
            raise error
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with suppress(error):
        write(tmp_path / "folder", "d")
    assert names(tmp_path) == ["folder"]
    assert names(tmp_path / "folder") == (["d"] if n_renames == 2 else ["a", "b", "c"])


@pytest.mark.parametrize("clean_up", [restore, lambda folder: write(folder, "abc")])
def test_a_folder_that_a_kill_left_under_another_name_is_brought_back(tmp_path, clean_up):
    write(tmp_path / "folder", "abc")
    (tmp_path / "folder").rename(tmp_path / ".folder-0123456789abcdef.old")
    (tmp_path / ".folder-0123456789abcdef.new").mkdir()
    clean_up(tmp_path / "folder")
    assert names(tmp_path) == ["folder"]
    assert names(tmp_path / "folder") == ["a", "b", "c"]


def test_nothing_is_brought_back_where_there_was_nothing(tmp_path):
    for folder in (tmp_path / "folder", tmp_path / "no" / "folder"):
        restore(folder)
        assert not folder.exists()


def test_other_folders_and_links_are_left_alone(tmp_path):
    others = [".folder-1.new", ".other-0123456789abcdef.new", "folder-0123456789abcdef.new"]
    for name in others:
        (tmp_path / name).mkdir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis").write_text("years of work")
    (tmp_path / ".folder-0123456789abcdef.new").symlink_to("mine")
    write(tmp_path / "folder", "abc")
    assert set(others) < set(names(tmp_path))
    assert names(tmp_path / "mine") == ["thesis"]


def test_writers_of_a_folder_wait_for_each_other(tmp_path, way):
    def writing(content):
        for _ in range(10):
            write(tmp_path / "folder", content)

    writers = [threading.Thread(target=writing, args=(content,)) for content in ("abc", "def")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert names(tmp_path) == ["folder"]
    assert "".join(names(tmp_path / "folder")) in ("abc", "def")
