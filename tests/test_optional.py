import math

import pytest

from skhash._optional import import_optional


def test_an_installed_module_is_imported():
    assert import_optional("math", extra="none", purpose="this test") is math


def test_a_missing_module_names_its_extra():
    with pytest.raises(
        ImportError, match=r'fetching needs abacus_9.*pip install "scikit-hash\[beads\]"'
    ):
        import_optional("abacus_9.core", extra="beads", purpose="fetching")


def test_a_module_that_fails_for_want_of_another_is_not_called_missing(tmp_path, monkeypatch):
    (tmp_path / "half_there.py").write_text("import something_else_9\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="something_else_9"):
        import_optional("half_there", extra="beads", purpose="this test")
