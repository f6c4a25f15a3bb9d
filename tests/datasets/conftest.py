import functools
import http.server
import threading
import zipfile

import pytest


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """The user's home folder, empty, and no shared data."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.delenv("SKHASH_DATA", raising=False)
    return home


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A folder and the local address at which its files can be downloaded."""
    pytest.importorskip("pooch")
    folder = tmp_path / "served"
    folder.mkdir()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    handler = functools.partial(QuietHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def serve_zip(served):
    """Serve an archive of these paths and contents, spoilt if wanted; return its address."""
    folder, address = served

    def serve_zip(content, spoil=bytes):
        path = folder / "archive.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in content.items():
                archive.writestr(name, data)
        path.write_bytes(spoil(path.read_bytes()))
        return f"{address}/archive.zip"

    return serve_zip
