"""A local page to search your own photographs with."""

import os
import socket
import threading
from contextlib import suppress
from io import BytesIO
from pathlib import Path

from .._libraries import import_optional
from ..metrics._display_items import open_image
from .choosing import say
from .own import N_RESULTS, UNKNOWN, Model, held_by, photograph_of

PAGE = Path(__file__).with_name("page.html")
PORT = 8000
N_PHOTOGRAPHS = 24
POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def create(path):
    """Make the app of a saved model.

    It answers requests that name this computer as their host alone, so that no other page reads
    the photographs by giving its own name this address. Files are only given out if the index
    holds them.
    """
    fastapi = import_optional("fastapi", extra="serve", purpose="the page of the demo")
    responses = import_optional("fastapi.responses", extra="serve", purpose="the page of the demo")
    hosts = import_optional(
        "starlette.middleware.trustedhost", extra="serve", purpose="the page of the demo"
    )
    model, lock = Model(path), threading.Lock()
    held = held_by(model.photographs)
    groups = [photograph_of(id_) for id_ in model.captions.ids_]
    app = fastapi.FastAPI(openapi_url=None)
    app.add_middleware(hosts.TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])

    def known(name):
        if name not in held:
            raise fastapi.HTTPException(404, f"there is no photograph {name!r} in the index")
        if not model.path_of(name).is_file():
            raise fastapi.HTTPException(404, f"the file of {name!r} is no longer there")
        return model.path_of(name)

    @app.get("/", response_class=responses.HTMLResponse)
    def page():
        headers = {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer"}
        return responses.HTMLResponse(PAGE.read_text(encoding="utf-8"), headers=headers)

    @app.get("/photograph")
    def photograph(name: str):
        try:
            content, kind = shrink(known(name))
        except ValueError as error:
            raise fastapi.HTTPException(404, f"{name!r} cannot be read as a picture") from error
        return responses.Response(content, media_type=kind)

    @app.get("/search")
    def search(text: str = "", like: str = ""):
        if len(text) > 1000 or not (text.strip() or like):
            raise fastapi.HTTPException(422, "give a text of at most 1,000 characters")
        is_known = True
        with lock:
            if like:
                codes = model.image.transform([str(known(like))])
            else:
                codes, is_known = model.encode(text)
            photographs = model.photographs.search(codes, N_PHOTOGRAPHS + bool(like))
            captions = model.captions.search(codes, N_RESULTS, groups=groups)
        photographs = photographs[photographs["id"] != like][:N_PHOTOGRAPHS]
        return {
            "note": "" if is_known else UNKNOWN,
            "n_photographs": len(model.photographs),
            "photographs": _listed(photographs, lambda id_: id_),
            "captions": _listed(captions, photograph_of),
        }

    return app


def shrink(path):
    """Return a small copy of a picture as the bytes of a file, and their media type."""
    image = open_image(path)  # of at most 400 pixels a side
    opaque = image.getchannel("A").getextrema()[0] == 255
    file = BytesIO()
    (image.convert("RGB") if opaque else image).save(file, "JPEG" if opaque else "PNG")
    return file.getvalue(), "image/jpeg" if opaque else "image/png"


def _listed(found, name_of_id):
    """Return the results of a search as objects."""
    columns = found[["id", "distance", "label"]].itertuples(index=False)
    return [
        {"name": name_of_id(id_), "distance": int(distance), "caption": caption}
        for id_, distance, caption in columns
    ]


def serve(path, port=PORT):
    """Serve the page on this computer alone, until Ctrl-C."""
    uvicorn = import_optional("uvicorn", extra="serve", purpose="the page of the demo")
    with socket.socket() as listening:
        if os.name != "nt":  # there it would share the port with another program
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            raise ValueError(
                f"port {port} cannot be used ({error}): choose another one, --serve {PORT + 1} or "
                f"make demo SERVE={PORT + 1}."
            ) from error
        server = uvicorn.Server(uvicorn.Config(create(path), log_level="warning"))
        say(f"Search your photographs at http://127.0.0.1:{port} (stop with Ctrl-C)")
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listening])
