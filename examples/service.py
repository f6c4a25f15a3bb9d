"""
Search by text over HTTP
========================

A FastAPI server for a saved text pipeline and a saved index. The user guide explains how to train
and save them. Start the server and query it with

    SERVICE_FOLDER=model uvicorn --app-dir examples --factory service:create --port 8000

    curl "http://127.0.0.1:8000/search?text=two+dogs+on+a+beach&k=3"
"""

import gc
import os
import time
import warnings

_started = time.perf_counter()  # before the imports, which take most of the time
gc.disable()  # imports and models are loaded faster without garbage collection

from pathlib import Path

import joblib
import numpy as np
from fastapi import FastAPI, HTTPException, Query

from skhash.retrieval import HammingRetriever

_imported = time.perf_counter()


def resident():
    """Return the resident memory of this process in megabytes; NaN on systems other than Linux."""
    pages = Path("/proc/self/statm")
    held = int(pages.read_text().split()[1]) if pages.exists() else 0
    return held * os.sysconf("SC_PAGE_SIZE") / 1e6 if held else float("nan")


def create():
    """Load `SERVICE_FOLDER`/text.joblib and `SERVICE_FOLDER`/index, and return the app."""
    folder = Path(os.environ["SERVICE_FOLDER"])
    text = joblib.load(folder / "text.joblib", mmap_mode="r")
    index = HammingRetriever.open(folder / "index")
    loaded = time.perf_counter()
    with warnings.catch_warnings(action="ignore"):  # these words may be unknown
        index.search(text.transform(["warm up"]), 1)  # loads the compiled engine
    gc.freeze()  # later collections skip what has been loaded
    gc.enable()
    ready = time.perf_counter()
    print(
        f"ready after {ready - _started:.2f} s (imports {_imported - _started:.2f}, models "
        f"{loaded - _imported:.2f}, first search {ready - loaded:.2f}; processor "
        f"{time.process_time():.2f} s), {len(index)} items, "
        f"OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'all cores')}, "
        f"{resident():.0f} MB resident",
        flush=True,
    )
    app = FastAPI(title="Search by text")

    @app.get("/health")
    def health():
        return {"status": "ok", "items": len(index), "resident_mb": resident()}

    @app.get("/search")
    def search(
        text_: str = Query(alias="text", min_length=1, max_length=1000),
        k: int = Query(default=10, ge=1, le=100),
        label: str | None = None,
    ):
        if label is not None and np.ndim(index.y_) != 1:
            raise HTTPException(400, "label= needs an index with exactly one label per item")
        where = None if label is None else lambda y: y.astype(str) == label
        found = index.search(text.transform([text_]), k, where=where)
        return found.drop(columns="query").to_dict("records")

    return app
