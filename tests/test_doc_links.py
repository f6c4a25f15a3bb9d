"""The links of scikit-learn's HTML diagrams to the pages of this library."""

import inspect
import re

import pytest
from sklearn.base import BaseEstimator
from sklearn.pipeline import make_pipeline

import skhash
from skhash import _estimators
from skhash._estimators import ModalityStep
from skhash.hashing import AffinityHasher, CCAHasher

PUBLIC = {
    f"skhash.{home}.{name}": cls
    for home, module in {
        "features": skhash.features,
        "hashing": skhash.hashing,
        "hashing.supervised": skhash.hashing.supervised,
        "metrics": skhash.metrics,
        "retrieval": skhash.retrieval,
    }.items()
    for name in module.__all__
    if inspect.isclass(cls := getattr(module, name)) and issubclass(cls, BaseEstimator)
}


@pytest.fixture(autouse=True)
def address(monkeypatch):
    monkeypatch.setenv("SKHASH_DOCS", "https://docs.example/stable/")


@pytest.mark.parametrize("path", PUBLIC)
def test_every_public_estimator_links_to_its_page(path):
    page = f"https://docs.example/stable/api/generated/{path}.html"
    assert PUBLIC[path]()._get_doc_link() == page
    assert f'href="{page}"' in PUBLIC[path]()._repr_html_()


def test_all_homes_of_estimators_are_searched():
    homes = {path.rpartition(".")[0].removeprefix("skhash.") for path in PUBLIC}
    assert homes == set(_estimators._PUBLIC)


def test_steps_of_a_pipeline_link_to_the_pages_of_their_own_library():
    html = make_pipeline(CCAHasher(8))._repr_html_()
    links = re.findall(r'href="([^"]+)"', html)
    assert "https://docs.example/stable/api/generated/skhash.hashing.CCAHasher.html" in links
    assert any(link.startswith("https://scikit-learn.org/") for link in links)


def test_what_has_no_page_has_no_link():
    class OwnHasher(AffinityHasher):
        pass

    assert OwnHasher()._get_doc_link() == ""
    assert ModalityStep(CCAHasher(), "image")._get_doc_link() == ""


def test_the_address_of_the_distribution_is_taken(monkeypatch):
    class Metadata:
        def get_all(self, name):
            assert name == "Project-URL"
            return ["Source, https://code.example", "Documentation, https://docs.example/"]

    monkeypatch.delenv("SKHASH_DOCS")
    monkeypatch.setattr(_estimators, "metadata", lambda name: Metadata())
    page = "https://docs.example/api/generated/skhash.hashing.CCAHasher.html"
    assert CCAHasher()._get_doc_link() == page


@pytest.mark.parametrize("built", [True, False])
def test_the_pages_of_a_checkout_come_last(monkeypatch, tmp_path, built):
    monkeypatch.delenv("SKHASH_DOCS")
    monkeypatch.setattr(_estimators, "metadata", missing)
    monkeypatch.setattr(_estimators, "__file__", str(tmp_path / "skhash/_estimators.py"))
    if built:
        (tmp_path / "docs/_build/html").mkdir(parents=True)
        (tmp_path / "docs/_build/html/index.html").touch()
    link = CCAHasher()._get_doc_link()
    assert link.startswith(f"{tmp_path.as_uri()}/docs/_build/html/api/") if built else link == ""


def missing(name):
    raise _estimators.PackageNotFoundError(name)
