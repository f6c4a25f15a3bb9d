from contextlib import suppress

from skhash._files import replaced


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


def test_the_next_writer_writes_over_what_a_crash_left(tmp_path):
    path = tmp_path / "file"
    (tmp_path / "file.tmp").write_bytes(b"a long half")
    with replaced(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_writers_at_the_same_time_have_names_of_their_own(tmp_path):
    path = tmp_path / "file"
    with replaced(path, tmp_path / "a") as first, replaced(path, tmp_path / "b") as second:
        first.write(b"first")
        second.write(b"second")
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]
