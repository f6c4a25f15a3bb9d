import subprocess
import sys
from pathlib import Path

import pytest

from skhash._torchvision import import_with_torchvision

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("module", ["open_clip", "torchvision"])
def test_a_fresh_process_imports_it(module):
    code = (
        "from skhash._torchvision import import_with_torchvision\n"
        f"print(import_with_torchvision({module!r}).__name__)"
    )
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert result.stdout.strip() == module, result.stderr


def test_a_second_call_gives_the_same_module():
    assert import_with_torchvision("open_clip") is import_with_torchvision("open_clip")


def test_another_runtime_error_comes_through(monkeypatch, tmp_path):
    (tmp_path / "module_that_fails.py").write_text("raise RuntimeError('out of cheese')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RuntimeError, match="out of cheese"):
        import_with_torchvision("module_that_fails")


def test_a_module_that_is_missing_says_so():
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        import_with_torchvision("no_such_module")
