"""Find the files of a data set, or download them."""

import os
import shutil
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from .._libraries import import_optional
from ._home import data_home_path, get_data_home

MAX_SIZE = 2**30  # bytes that the files of an archive may have, hundreds of times what Wiki's have


def fetch_files(name, files, *, url, data_home=None, download_if_missing=True):
    """Return a folder that holds the files of a data set, and download them where none does.

    Parameters
    ----------
    name : str
        Name of the data set, and of the subfolder for it.
    files : list of str
        Names of all its files.
    url : str or None
        Address of a zip archive that holds the files, in any folder; ``None`` if there is none.
    data_home : str or path-like, default=None
        The folder to look in first and to download to; ``None`` means ``~/skhash_data``.
    download_if_missing : bool, default=True
        Whether to download the archive.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    OSError
        If the files are missing and must not or cannot be downloaded, or the archive is damaged.
    """
    home = data_home_path(data_home)
    places = [home] if data_home is not None else []
    if os.environ.get("SKHASH_DATA"):
        places.append(Path(os.environ["SKHASH_DATA"]).expanduser())
    if home not in places:
        places.append(home)
    folders = [folder for place in places for folder in (place, place / name)]
    lacking = [[file for file in files if not (folder / file).is_file()] for folder in folders]
    for folder, missing in zip(folders, lacking, strict=True):
        if not missing:
            return folder
    by_hand = "pass such a folder as data_home, or name it in the environment variable SKHASH_DATA"
    if url is None or not download_if_missing:
        way_out = "there is no download of them" if url is None else "set download_if_missing=True"
        nearest = min(range(len(folders)), key=lambda place: len(lacking[place]))
        partly = (
            f"; {folders[nearest]} lacks {', '.join(lacking[nearest])}"
            if len(lacking[nearest]) < len(files)
            else ""
        )
        raise FileNotFoundError(
            f"no folder holds all of {', '.join(files)}, looked in {', '.join(map(str, places))} "
            f"and in their subfolders {name}{partly}: {way_out}, {by_hand}."
        )
    folder = Path(get_data_home(data_home), name)
    try:
        _download(url, files, folder)
    # Of a damaged archive; RuntimeError where it is encrypted or compressed in an unknown way.
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
        raise OSError(
            f"the archive {url} could not be fetched ({error}): try again, or unpack it by hand "
            f"and {by_hand}."
        ) from error
    return folder


def _download(url, files, folder):
    """Download an archive and move its files into place, each of them complete or not at all."""
    pooch = import_optional("pooch", extra="datasets", purpose="downloading a data set")
    # Beside its destination: a move is atomic within one file system only.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="download-") as temporary:
        archive = pooch.retrieve(url, known_hash=None, path=temporary, fname="archive.zip")
        with zipfile.ZipFile(archive) as opened:
            # The last part alone: a path in an archive may lead anywhere.
            members = {PurePosixPath(member).name: member for member in opened.namelist()}
            missing = [file for file in files if file not in members]
            if missing:
                raise zipfile.BadZipFile(f"it lacks {', '.join(missing)}")
            size = sum(opened.getinfo(members[file]).file_size for file in files)
            if size > MAX_SIZE:
                raise zipfile.BadZipFile(f"it holds {size} bytes, more than {MAX_SIZE}")
            for file in files:
                with (
                    opened.open(members[file]) as source,
                    Path(temporary, file).open("wb") as target,
                ):
                    shutil.copyfileobj(source, target)
        folder.mkdir(exist_ok=True)
        for file in files:
            os.replace(Path(temporary, file), folder / file)
