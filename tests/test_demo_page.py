"""The page of the demo, asked over HTTP."""

import json
import socket
import threading
import time
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from skhash.demo import own, serve
from skhash.metrics._display_items import open_image

from .test_demo_own import model, trained  # noqa: F401  fixtures

pytest.importorskip("fastapi", reason="the page needs fastapi")
uvicorn = pytest.importorskip("uvicorn", reason="the page needs uvicorn")


@pytest.fixture
def address(model):  # noqa: F811
    """Serve the page of a model whose first photograph is removed."""
    own.remove(model, ["my 0.png"])
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(serve.create(model), log_level="error", lifespan="off", ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def ask(address, path, **parameters):
    with urlopen(f"{address}/{path}?{urlencode(parameters)}") as answer:
        return answer.read()


def refused(address, path, **parameters):
    with pytest.raises(HTTPError) as error:
        ask(address, path, **parameters)
    with error.value as answer:
        return answer.code, answer.read().decode()


def test_words_find_photographs_and_captions(address, model, trained):  # noqa: F811
    text = trained[2]["text"][5]
    found = json.loads(ask(address, "search", text=text))
    expected, _ = own.Model(model).find(text, serve.N_PHOTOGRAPHS)
    assert [item["name"] for item in found["photographs"]] == expected["id"].tolist()
    assert [item["distance"] for item in found["photographs"]] == expected["distance"].tolist()
    assert found["captions"][0] == {"name": trained[1][4], "distance": 0, "caption": text}
    assert len({item["name"] for item in found["captions"]}) == own.N_RESULTS
    assert found["n_photographs"] == len(trained[1]) - 1
    assert found["note"] == ""


def test_a_photograph_finds_others_and_its_captions(address, model, trained):  # noqa: F811
    found = json.loads(ask(address, "search", like=trained[1][4]))
    assert trained[1][4] not in {item["name"] for item in found["photographs"]}
    codes = own.Model(model).image.transform([str(trained[0] / trained[1][4])])
    nearest = own.Model(model).captions.search(codes, 1)
    assert found["captions"][0]["distance"] == nearest["distance"][0]


def test_pictures_are_small_copies(address, trained, tmp_path):  # noqa: F811
    content = ask(address, "photograph", name=trained[1][1])
    assert open_image(content).size == open_image(trained[0] / trained[1][1]).size
    open_image(trained[0] / trained[1][1]).resize((1000, 500)).save(tmp_path / "large.png")
    content, kind = serve.shrink(tmp_path / "large.png")
    assert max(open_image(content).size) < 500
    assert kind == "image/jpeg"


@pytest.mark.parametrize("name", ["my 0.png", "../demo-own.joblib", "/etc/hostname"])
def test_only_files_of_the_index_are_given_out(address, name):
    for path, parameter in (("photograph", "name"), ("search", "like")):
        code, message = refused(address, path, **{parameter: name})
        assert code == 404
        assert "there is no photograph" in message


def test_a_model_without_photographs_finds_none(model, trained):  # noqa: F811
    own.remove(model, trained[1])
    app = serve.create(model)
    [search] = [route.endpoint for route in app.routes if route.path == "/search"]
    assert search(trained[2]["text"][0]) == {
        "note": "",
        "n_photographs": 0,
        "photographs": [],
        "captions": [],
    }


def test_a_text_without_a_known_word_is_noted(address, recwarn):
    found = json.loads(ask(address, "search", text="xyzzy"))
    assert found["note"] == own.UNKNOWN
    assert found["photographs"]
    assert not recwarn


def test_empty_and_endless_questions_are_refused(address):
    for text in (" ", "a" * 1001):
        assert refused(address, "search", text=text)[0] == 422


def test_requests_in_the_name_of_another_host_are_refused(address):
    request = Request(address, headers={"Host": "photographs.example"})
    with pytest.raises(HTTPError) as error:
        urlopen(request)
    with error.value as answer:
        assert answer.code == 400


def test_the_page_loads_nothing_from_elsewhere(address):
    page = ask(address, "").decode()
    assert "http" not in page
    assert 'name="viewport"' in page


@pytest.mark.parametrize("port", [None, 99999])
def test_a_port_that_cannot_be_used_is_named_before_the_page_is_announced(
    model,  # noqa: F811
    port,
    capsys,
):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = port or taken.getsockname()[1]
        with pytest.raises(ValueError, match=rf"port {port} cannot be used .*SERVE=8001"):
            serve.serve(model, port)
    assert "Search your photographs" not in capsys.readouterr().out
