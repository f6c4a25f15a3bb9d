"""Wiki: 2,866 pairs of an image and a text from Wikipedia articles, as features."""

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from .._blocks import block_names
from .._inputs.checks import check_choice, check_flag
from .._inputs.messages import cut
from ._download import fetch_files
from ._mat5 import read_mat5

ARCHIVE_URL = "http://www.svcl.ucsd.edu/projects/crossmodal/wikipedia_dataset.zip"

# Each text feature: its file, its variables (to be completed by the split), its columns.
TEXTS = {
    "lda": ("raw_features.mat", "T", "topic", 10),
    "tfidf": ("raw_features_with_tfidf.mat", "T_tfidf", "word", 1000),
}
LISTS = {"tr": "trainset_txt_img_cat.list", "te": "testset_txt_img_cat.list"}
SUBSETS = {"train": ["tr"], "test": ["te"], "all": ["tr", "te"]}
N_IMAGE_FEATURES = 128
N_CATEGORIES = 10

DESCR = """\
Wiki: pairs of an image and a text from Wikipedia's featured articles
=====================================================================

A section of an article and the picture in it make a pair; the article's category is its class.

:Pairs: 2,866, of which 2,173 for training and 693 for testing
:Image: 128 values, a histogram of SIFT visual words; a row sums to 1
:Text: 10 values, the weights of the topics of a latent Dirichlet allocation; a row sums to 1.
    Or, from a file that is not part of the official set, the tf-idf weights of 1,000 words
:Classes: art, biology, geography, history, literature, media, music, royalty, sport, warfare

The usual protocol searches the 2,173 training pairs with the 693 test pairs; what is of the query's
category is relevant. Codes that say nothing score a mean average precision of 0.111.

Source: N. Rasiwasia, J. Costa Pereira, E. Coviello, G. Doyle, G. R. G. Lanckriet, R. Levy and
N. Vasconcelos, "A New Approach to Cross-Modal Multimedia Retrieval", ACM Multimedia 2010.
The data set carries no licence.
"""


def fetch_wiki(
    *,
    data_home=None,
    subset="train",
    text="lda",
    download_if_missing=True,
    as_frame=False,
):
    """Load the Wiki data set: SIFT histograms of images, LDA topics of texts, ten categories.

    The files are looked for in `data_home`, if it is given; then in the folder of the environment
    variable ``SKHASH_DATA``; then, if `data_home` is not given, in ``~/skhash_data``; in each of
    them directly, and then in its subfolder ``wiki``. If they are not found, the official archive
    of the authors is downloaded, over http, to `data_home`.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder to look in first, and to download to. ``None`` means ``~/skhash_data``.
    subset : {"train", "test", "all"}, default="train"
        The pairs to load. ``"all"`` means the training pairs, followed by the test pairs.
    text : {"lda", "tfidf"}, default="lda"
        The text features: 10 topic weights, or the tf-idf weights of 1,000 words, which need the
        file ``raw_features_with_tfidf.mat``; it is not part of the official set.
    download_if_missing : bool, default=True
        Whether to download the archive if no folder has the files. If False, an error is raised
        instead.
    as_frame : bool, default=False
        Whether ``data`` is a dataframe.

    Returns
    -------
    :class:`~sklearn.utils.Bunch`
        With the attributes

        data : ndarray or DataFrame of shape (n_samples, 138) or (n_samples, 1128), float32
            The features, image block first, with the values of the file, not scaled.
        n_image_features : int
            Number of image features, 128.
        target : ndarray of shape (n_samples,), int64
            The category, an index into `target_names`.
        target_names : list of str of length 10
            Names of the categories.
        feature_names : list of str
            ``"image__sift0"``, ..., then ``"text__topic0"``, ... or ``"text__word0"``, ...
        image_id, text_id : ndarray of shape (n_samples,), object
            Names of the image and of the text in the official set.
        DESCR : str
            Description of the data set.

    Raises
    ------
    ImportError
        If the files must be downloaded, and pooch (extra ``datasets``) is not installed.
    OSError
        If the files are missing and are not or cannot be downloaded, or the archive is damaged.
    TypeError
        If `data_home` is not a path.
    ValueError
        If `subset` or `text` is unknown, or a file is not in the official format.

    Notes
    -----
    No checksum of the archive is published, so downloads are not verified. The download from the
    official address was not tested, only one from a local server. To download by hand, unpack the
    archive anywhere and pass the folder of its files as `data_home`.

    References
    ----------
    N. Rasiwasia, J. Costa Pereira, E. Coviello, G. Doyle, G. R. G. Lanckriet, R. Levy and
    N. Vasconcelos, "A New Approach to Cross-Modal Multimedia Retrieval", ACM Multimedia 2010.

    Examples
    --------
    >>> from skhash.datasets import fetch_wiki
    >>> wiki = fetch_wiki()  # doctest: +SKIP
    >>> wiki.data.shape  # doctest: +SKIP
    (2173, 138)
    >>> wiki.target_names[wiki.target[0]]  # doctest: +SKIP
    'media'
    """
    check_choice(subset, "subset", SUBSETS)
    check_choice(text, "text", TEXTS)
    check_flag(download_if_missing, "download_if_missing")
    check_flag(as_frame, "as_frame")
    mat_file, _, column, n_text_features = TEXTS[text]
    folder = fetch_files(
        "wiki",
        [mat_file, *LISTS.values(), "categories.list"],
        url=ARCHIVE_URL if text == "lda" else None,
        data_home=data_home,
        download_if_missing=download_if_missing,
    )
    target_names = _read_categories(folder / "categories.list")
    splits = [_read_split(folder, split, text, len(target_names)) for split in SUBSETS[subset]]
    data, text_id, image_id, target = (np.concatenate(parts) for parts in zip(*splits, strict=True))
    feature_names = [
        *block_names("image", [f"sift{i}" for i in range(N_IMAGE_FEATURES)]),
        *block_names("text", [f"{column}{i}" for i in range(n_text_features)]),
    ]
    return Bunch(
        data=pd.DataFrame(data, columns=feature_names) if as_frame else data,
        n_image_features=N_IMAGE_FEATURES,
        target=target,
        target_names=target_names,
        feature_names=feature_names,
        image_id=image_id,
        text_id=text_id,
        DESCR=DESCR,
    )


def _read_categories(path):
    names = _read_text(path).split()
    if len(names) != N_CATEGORIES:
        raise _not_official(path, f"holds {len(names)} category names, not {N_CATEGORIES}")
    return names


def _read_split(folder, split, text, n_categories):
    """Return the features, text ids, image ids and categories of one split."""
    mat_file, variable, _, n_text_features = TEXTS[text]
    widths = {f"I_{split}": N_IMAGE_FEATURES, f"{variable}_{split}": n_text_features}
    image, words = _read_matrices(folder / mat_file, widths)
    text_id, image_id, target = _read_list(folder / LISTS[split], n_categories)
    if not len(image) == len(words) == len(target):
        raise ValueError(
            f"{folder / mat_file} holds {len(image)} images and {len(words)} texts, but "
            f"{folder / LISTS[split]} lists {len(target)} pairs: "
            "replace both by the files of the official archive."
        )
    return np.hstack([image, words]), text_id, image_id, target


def _read_matrices(path, widths):
    """Read one float32 matrix for each variable and width."""
    try:
        contents = read_mat5(path, list(widths))
    except Exception as error:  # damaged compression has errors of its own
        raise _not_official(path, f"cannot be read ({cut(error)})") from error
    for name, width in widths.items():
        if name not in contents:
            raise _not_official(path, f"has no matrix {name}")
        matrix = contents[name]
        if matrix.shape[1] != width:
            raise _not_official(path, f"holds {name} of shape {matrix.shape}, not (n, {width})")
        if not np.isfinite(matrix).all():
            raise _not_official(path, f"holds values in {name} that are not finite")
    return [contents[name].astype(np.float32) for name in widths]


def _read_list(path, n_categories):
    """Read text ids, image ids and categories, counted from 0."""
    rows = [line.split("\t") for line in _read_text(path).splitlines()]
    categories = {str(number): number - 1 for number in range(1, n_categories + 1)}
    for number, row in enumerate(rows, 1):
        if len(row) != 3 or row[2].strip() not in categories:
            raise _not_official(
                path,
                f"has a line {number} that is not text id, tab, image id, tab, category 1 to "
                f"{n_categories}",
            )
    text_id, image_id = (np.array([row[i] for row in rows], dtype=object) for i in range(2))
    target = np.array([categories[row[2].strip()] for row in rows], dtype=np.int64)
    return text_id, image_id, target


def _read_text(path):
    # In Latin-1 every byte is a character: a file of the wrong kind fails where it is named.
    return path.read_text(encoding="latin-1").rstrip()


def _not_official(path, fault):
    return ValueError(f"{path} {fault}: replace it by the file of the official archive.")
