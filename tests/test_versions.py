"""What `show_versions` prints."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import skhash
from skhash._versions import DEPENDENCIES, OPTIONAL

PROJECT = tomllib.loads(
    (Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8")
)["project"]


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
    monkeypatch.setattr("skhash._versions.OPTIONAL", ("no-such-package",))
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
