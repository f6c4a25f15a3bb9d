"""Optional imports, torchvision beside a CPU build of torch, and `show_versions`."""

import math
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import skhash
from skhash._libraries import (
    DEPENDENCIES,
    OPTIONAL,
    LazyModule,
    import_optional,
    import_with_torchvision,
)

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_an_installed_module_is_imported():
    assert import_optional("math", extra="none", purpose="this test") is math


def test_a_missing_module_names_its_package_and_its_extra():
    message = r'fetching needs abacus_9.*pip install abacus_9, or .*"scikit-hash\[beads\]"'
    with pytest.raises(ImportError, match=message):
        import_optional("abacus_9.core", extra="beads", purpose="fetching")


@pytest.mark.parametrize("module", ["faiss", "dask", "dask.dataframe"])
def test_a_package_that_is_not_called_as_its_module_is_named_as_its_extra_lists_it(
    module, monkeypatch
):
    extra = module.partition(".")[0]
    (requirement,) = PROJECT["optional-dependencies"][extra]
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"pip install") as raised:
        import_optional(module, extra=extra, purpose="this test")
    assert requirement.partition(">")[0] in str(raised.value)


def test_a_module_that_fails_for_want_of_another_is_not_called_missing(tmp_path, monkeypatch):
    (tmp_path / "half_there.py").write_text("import something_else_9\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="something_else_9"):
        import_optional("half_there", extra="beads", purpose="this test")


@pytest.mark.parametrize("module", ["open_clip", "torchvision"])
def test_a_fresh_process_imports_it(module):
    code = (
        "from skhash._libraries import import_with_torchvision\n"
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


def packages(requirements):
    return {re.match(r"[\w-]+", requirement)[0] for requirement in requirements}


@pytest.fixture
def printed(capsys):
    skhash.show_versions()
    return dict(re.findall(r"^ *([\w-]+): (.+)$", capsys.readouterr().out, re.MULTILINE))


def test_versions_are_those_that_are_installed(printed):
    assert printed["skhash"] == skhash.__version__
    assert printed["python"].startswith(".".join(map(str, sys.version_info[:3])))
    assert {name: printed[name] for name in DEPENDENCIES} == {
        name: version(name) for name in DEPENDENCIES
    }


def test_all_that_the_project_needs_or_can_use_is_listed():
    assert packages(PROJECT["dependencies"]) <= set(DEPENDENCIES)
    extras = PROJECT["optional-dependencies"].items()
    used = [packages(extra) for name, extra in extras if name not in ("dev", "docs")]
    assert set().union(*used) <= set(OPTIONAL)


def test_what_is_not_installed_is_told(monkeypatch, capsys):
    monkeypatch.setattr("skhash._libraries.OPTIONAL", ("no-such-package",))
    skhash.show_versions()
    assert "no-such-package: none" in capsys.readouterr().out


def test_threads_are_told_and_no_paths(printed):
    assert any("threads, version" in value for value in printed.values())
    assert str(Path(sys.prefix)) not in " ".join(printed.values())


def test_nothing_heavy_is_imported():
    code = (
        "import sys, skhash; skhash.show_versions(); "
        "assert not {'torch', 'open_clip', 'pandas', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_lazy_module_is_imported_by_its_first_use(monkeypatch):
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    lazy = LazyModule("colorsys", "this test")
    assert not hasattr(lazy, "__wrapped__")
    assert "colorsys" not in sys.modules
    assert lazy.rgb_to_hsv(1, 1, 1) == (0, 0, 1)
    with pytest.raises(AttributeError, match="no attribute 'no_color'"):
        lazy.no_color  # noqa: B018


def test_a_lazy_module_says_which_library_is_missing(tmp_path, monkeypatch):
    (tmp_path / "needs_it.py").write_text("import abacus_9.core\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match=r"this test needs abacus_9, .*: pip install abacus_9\."):
        LazyModule("needs_it", "this test").bead  # noqa: B018


def test_a_module_of_the_package_that_is_missing_is_no_library():
    with pytest.raises(ModuleNotFoundError, match="no_such_file"):
        LazyModule("skhash.no_such_file", "this test").name  # noqa: B018


def test_a_missing_open_clip_is_named_as_it_is_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(ModuleNotFoundError, match="pip install open_clip_torch") as raised:
        import_with_torchvision("open_clip")
    assert raised.value.name == "open_clip"
