"""The leaderboard: what is measured again, what a kill leaves, and the tables."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
ARGUMENTS = ["--on", "digits", "digits-apart", "--bits", "8", "--seeds", "2"]
METHODS = ["random codes", "CCA + ITQ", "signs, image space"]
N_CELLS = 2 * 2 * len(METHODS)


@pytest.fixture
def board(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("leaderboard")


@pytest.fixture
def run(board, tmp_path, capsys):
    """Run the command; return the lines of the cells that it measured, and all that it printed."""

    def run(*more):
        arguments = [*ARGUMENTS, "--results", str(tmp_path / "cells"), "--methods", *METHODS]
        board.main([*arguments, *more])
        printed = capsys.readouterr().out
        return [line for line in printed.splitlines() if ", seed " in line], printed

    return run


def cells(folder):
    return sorted(folder.rglob("[0-9]*.json"))


def test_a_cell_is_measured_once(run, tmp_path):
    assert len(run()[0]) == len(cells(tmp_path)) == N_CELLS
    assert run()[0] == []


def test_a_cell_that_is_missing_or_damaged_is_measured_again(run, tmp_path):
    run()
    first, second, *_ = cells(tmp_path)
    first.unlink()
    second.write_text('{"collection": ')
    assert len(run()[0]) == 2


@pytest.mark.parametrize("name", ["skhash", "parameters"])
def test_a_cell_of_other_parameters_or_another_version_is_measured_again(run, tmp_path, name):
    run()
    path = cells(tmp_path)[0]
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: "other"}))
    assert len(run()[0]) == 1


def test_fresh_measures_all_again(run):
    run()
    assert len(run("--fresh")[0]) == N_CELLS


def test_nothing_is_begun_without_a_budget(run):
    with pytest.raises(SystemExit, match="No cell is stored"):
        run("--budget", "0")


def test_what_is_missing_is_estimated(run):
    run()
    _, printed = run("--estimate", "--bits", "8", "16")
    assert f"{N_CELLS} cells are measured" in printed
    assert f"{N_CELLS} are missing" in printed
    assert "not counted" not in printed


@pytest.mark.skipif(os.name == "nt", reason="a process is killed by a signal")
def test_a_kill_costs_the_cells_at_work_alone(run, tmp_path):
    folder = tmp_path / "cells"
    command = [sys.executable, str(BENCHMARKS / "leaderboard.py"), *ARGUMENTS]
    command += ["--results", str(folder), "--methods", *METHODS]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=BENCHMARKS.parent)
    deadline = time.monotonic() + 60
    while len(cells(folder)) < 5 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = cells(folder)
    assert kept
    assert all(json.loads(path.read_text())["scores"] for path in kept)
    assert len(run()[0]) == N_CELLS - len(kept)


def test_a_job_that_another_process_is_at_is_left_to_it(board, run, tmp_path):
    fcntl = pytest.importorskip("fcntl")
    folder = tmp_path / "cells" / "digits" / "cca-itq" / "seed-0"
    folder.mkdir(parents=True)
    handle = os.open(folder, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        assert len(run()[0]) == N_CELLS - 1
    finally:
        os.close(handle)
    assert len(run()[0]) == 1


def test_a_method_that_fails_does_not_stop_the_others(run, monkeypatch):
    from skhash.hashing import CCAHasher

    def fit(self, X, y=None, groups=None):
        raise ValueError("no fit")

    monkeypatch.setattr(CCAHasher, "fit", fit)
    with pytest.raises(SystemExit, match="4 cells failed"):
        run()


def test_every_hasher_of_the_library_has_a_row(board):
    from skhash import hashing

    found = board.find_methods()
    assert {m.make.__name__ for m in found if m.make} >= set(hashing.__all__)
    assert [m.name for m in found[:2]] == ["random codes", "Consensus"]
    assert len({m.name for m in found}) == len(found)


def test_an_unknown_method_is_refused(board):
    with pytest.raises(ValueError, match="unknown methods"):
        board.find_methods(wanted=["CFRHasher"])


def test_classes_of_the_user_have_rows(board):
    (method,) = board.find_methods(["skhash.hashing.FSHHasher"], ["FSH"])[1:]
    assert (method.kind, method.name) == ("own", "FSH")


def test_the_guide_gets_both_protocols_side_by_side(run, tmp_path, pyplot):
    docs = tmp_path / "docs"
    run("--docs", str(docs))
    head, *rows = (docs / "digits-map.csv").read_text().splitlines()
    assert head == 'codes,"database trained on, 8","database apart, 8",± at most'
    assert [row.split(",.")[0] for row in rows] == ["random codes", "CCA + ITQ", f'"{METHODS[2]}"']
    written = {path.name for path in docs.iterdir()}
    assert {"all.csv", "digits-cost.csv", "digits-map-50.csv", "digits-apart-bits.svg"} <= written
    assert "digits-seconds.svg" in written


def test_a_row_of_others_stands_below_ours(board):
    tables = importlib.import_module("_board")
    lengths = {"database trained on": [16, 32], "database apart": [16]}
    rows = dict(
        (row[0], row[1:]) for row in tables._of_others("Wiki", "mAP@50", lengths)["published"]
    )
    assert rows == {
        "CMFH, hand-crafted features (published)": [".251 / .595", ".253 / .601", "", ""]
    }
