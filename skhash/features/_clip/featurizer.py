"""Images or texts as embeddings of CLIP."""

from contextlib import closing
from functools import partial

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from ..._estimators import Documented
from ..._inputs.checks import (
    check_choice,
    check_flag,
    check_integer,
    check_parameter,
    check_verbose,
)
from ..._torch.device import check_device, resolve_device
from ..._torch.generator import generator_lock
from .._items import as_images, as_texts, distinct, progress_bar, take
from .._towers.models import load_model, locate, read_config
from .._towers.tokens import load_tokenizer
from .cache import open_cache, recalled
from .forward import embedded
from .images import picture_batches
from .messages import (
    failed_rows,
    refuse,
    refuse_open_files,
    warn_of_cut,
    warn_of_failed,
    warn_of_preprocessing,
)
from .texts import text_batches, text_encoder

_FLAGS = ("normalize", "exif_orientation", "compile", "local_files_only")


class CLIPFeaturizer(Documented, TransformerMixin, BaseEstimator):
    r"""Embeddings of images or texts by a model of open_clip.

    The embedding of an image :math:`x` is :math:`f(x) / \lVert f(x) \rVert`, where :math:`f` is the
    image encoder of a network that was trained to give an image and its caption the same direction
    [1]_; texts likewise. Nothing is learned here, and ``transform`` works without ``fit``. A
    process loads a model once, at the first ``transform``, which downloads weights that are not on
    this disk into `weights_dir`. Pickles contain the name of the model,
    not its weights.

    Parameters
    ----------
    **Model**

    model_name : str, default="ViT-B-32"
        Name of an architecture of open_clip, ``"hf-hub:<owner>/<name>"``, or
        ``"local-dir:<folder>"``.
    pretrained : str, os.PathLike or None, default="openai"
        A tag of open_clip, or the path of a state dict. Models of a hub or a folder have their own
        weights. ``None`` means random weights, which are the same in every process, for tests. If
        the weights of a tag need QuickGELU, it is used. For a weights file of OpenAI, use a model
        name that ends in ``-quickgelu``.
    modality : {"image", "text"}, default="image"
        What the rows of `X` are. A str is a path if they are images, and a text if they are texts.
    normalize : bool, default=True
        Whether to divide each embedding by its Euclidean norm.
    weights_dir : str, os.PathLike or None, default=None
        Folder of downloaded weights. ``None`` means the cache of huggingface_hub, which is
        ``~/.cache/huggingface/hub`` unless an environment variable such as ``HF_HOME`` changes it.
    local_files_only : bool, default=False
        Whether to use only local files, without any access to the network.

    **Input**

    on_error : {"raise", "nan"}, default="raise"
        What to do with an image that cannot be read: ``"raise"`` raises a ValueError with its row
        and path; ``"nan"`` returns a row of NaN, warns once, and adds a row to `errors_`. The
        number of rows is always that of `X`.
    long_text : {"truncate", "raise"}, default="truncate"
        What to do with a text that has more tokens than the model accepts, which is 77 for most
        models: ``"truncate"`` cuts off its end and warns once with the number of such texts;
        ``"raise"`` raises a ValueError with its row.
    exif_orientation : bool, default=False
        Whether to rotate photographs according to their EXIF data. open_clip does not, and its
        models were trained without it; with True, the embeddings of such photographs differ from
        those of open_clip.

    **Computation**

    device : str, default="auto"
        Device of torch; ``"auto"`` means ``"cuda"`` if available, else ``"cpu"``.
    batch_size : int, default=32
        Number of items in one forward pass.
    n_workers : int, default=0
        Number of processes that load and resize images while the model computes. With 0, or in a
        process that may not start others, this process does both in turn. Texts need no workers.
    precision : {"fp32", "bf16", "fp16"}, default="fp32"
        Number format of the forward pass, by torch's autocast; weights and results stay float32.
        ``"fp16"`` is for GPUs.
    compile : bool, default=False
        Whether to compile the model with torch at the first batch, which takes a minute or more.
    cache_dir : str, os.PathLike or None, default=None
        Folder for a cache of embeddings: new, empty, or used for that before. An item in the cache,
        whichever process put it there, is not embedded again. ``None`` means no cache.
    verbose : int, default=0
        Whether to show a progress bar, with the items per second and the remaining time.

    Attributes
    ----------
    errors_ : DataFrame of shape (n_failed, 3)
        With ``on_error="nan"``, the images that the last `transform` could not read: ``row`` in
        `X`, ``item`` (the path, or the type of the image) and ``message``. It is the only attribute
        that ``transform`` sets, and only in this mode. ``clone`` does not copy it.

    Notes
    -----
    Images are loaded as by open_clip and converted to RGB. Only the first frame of an animation is
    used, and transparency is ignored. 16-bit grayscale images are scaled to 8 bits. An image with
    more pixels than Pillow allows (twice ``PIL.Image.MAX_IMAGE_PIXELS``) is treated as an image
    that cannot be read.

    Texts of similar length share a batch, and a batch is padded to its longest text only, if
    padding does not change the output of the model. In ``"fp32"``, embeddings of an item differ by
    up to 1e-5 with the batch size, the number of workers and the other items of the batch.

    Worker processes are started with the default start method of multiprocessing. If that is not
    fork, a script needs the usual ``if __name__ == "__main__":``.

    The cache identifies an item by its content: a text, the bytes of a file, or the pixels of a
    picture. Embeddings are stored separately for each architecture, content of the weights,
    preprocessing, `modality`, `normalize`, `precision`, `exif_orientation`, `long_text`, and
    version of open_clip, torch, torchvision and Pillow, but not for each device. A batch is written
    to disk before the next one is computed, so that a run that was killed continues where it
    stopped. Several processes may share a cache. Images that cannot be read are tried again each
    time. A truncated text that is found in the cache is not counted in the warning. `list_features`
    lists the content of a cache, and `clear_features` empties it.

    References
    ----------
    .. [1] A. Radford et al., "Learning Transferable Visual Models From Natural Language
       Supervision", ICML 2021.

    Examples
    --------
    >>> from skhash.features import CLIPFeaturizer
    >>> CLIPFeaturizer("ViT-B-16", modality="text")
    CLIPFeaturizer(modality='text', model_name='ViT-B-16')
    """

    def __init__(
        self,
        model_name="ViT-B-32",
        *,
        pretrained="openai",
        modality="image",
        normalize=True,
        weights_dir=None,
        local_files_only=False,
        on_error="raise",
        long_text="truncate",
        exif_orientation=False,
        device="auto",
        batch_size=32,
        n_workers=0,
        precision="fp32",
        compile=False,
        cache_dir=None,
        verbose=0,
    ):
        self.model_name = model_name
        self.pretrained = pretrained
        self.modality = modality
        self.batch_size = batch_size
        self.normalize = normalize
        self.on_error = on_error
        self.long_text = long_text
        self.exif_orientation = exif_orientation
        self.n_workers = n_workers
        self.precision = precision
        self.compile = compile
        self.cache_dir = cache_dir
        self.local_files_only = local_files_only
        self.weights_dir = weights_dir
        self.device = device
        self.verbose = verbose

    def fit(self, X, y=None):
        """Check the parameters and the rows; nothing is learned and no model is loaded.

        Parameters
        ----------
        X : array-like of shape (n_samples,)
            As in `transform`.
        y : None
            Ignored.

        Returns
        -------
        CLIPFeaturizer
            The featurizer itself.
        """
        self._check(X)
        return self

    def transform(self, X):
        """Embed images or texts, each distinct path, bytes or str once.

        Parameters
        ----------
        X : array-like of shape (n_samples,)
            For images: paths, bytes of files, binary files open for reading, PIL images, uint8
            arrays of shape (height, width) or (height, width, 3 or 4), or dicts with ``bytes`` and
            ``path``, one of which may be None. For texts: str. A dataframe or an array with one
            column is also accepted. If `X` is a sequence that loads images on access, only a few
            batches are in memory at a time.

        Returns
        -------
        ndarray of shape (n_samples, n_dimensions), float32
            The embeddings.

        Raises
        ------
        ValueError
            If there are no rows, a row is missing or is a URL, an image cannot be read and
            `on_error` is ``"raise"``, a text is too long and `long_text` is ``"raise"``, the model
            or tag is unknown, the weights do not fit the model, or `cache_dir` contains other
            files.
        TypeError
            If `X` is not a sequence, or a row has an unsupported type.
        OSError
            If weights are not on this disk and cannot be downloaded.
        """
        items = self._check(X)
        first, inverse = distinct(items)
        located = self._locate()
        if self.modality == "image":
            warn_of_preprocessing(located, self.pretrained)
        is_strict = (self.long_text if self.modality == "text" else self.on_error) == "raise"
        encode = partial(self._encode, located)
        if self.cache_dir is not None:
            store = open_cache(self.cache_dir, located, self.modality, self.get_params())
            if store is not None:
                encode = partial(recalled, store, encode=encode)
        vectors = np.full((len(first), located.embed_dim), np.nan, np.float32)
        troubles, unit = {}, f"{self.modality}s"
        batches = encode(take(items, first))
        with closing(batches), progress_bar(len(first), unit, self.verbose) as progress:
            for positions, embeddings, trouble in batches:
                if trouble and is_strict:
                    refuse(trouble, items, first, self.modality)
                troubles.update(trouble)
                if positions:
                    vectors[positions] = embeddings
                progress.update(len({*positions, *trouble}))
        if self.modality == "image" and self.on_error == "nan":
            self.errors_ = failed_rows(troubles, items, inverse)
        if troubles and self.modality == "image":
            warn_of_failed(self.errors_, len(items))
        elif troubles:
            warn_of_cut(troubles, len(first))
        return vectors if len(first) == len(items) else vectors[inverse]

    def get_feature_names_out(self, input_features=None):
        """Return the names ``clip0``, ``clip1``, ...

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        ndarray of shape (n_dimensions,), object
            The names.
        """
        _, config = read_config(self.model_name, **self._hub())
        return np.array([f"clip{j}" for j in range(config["embed_dim"])], dtype=object)

    def _check(self, X):
        check_choice(self.modality, "modality", ("image", "text"))
        check_choice(self.on_error, "on_error", ("raise", "nan"))
        check_choice(self.long_text, "long_text", ("truncate", "raise"))
        check_choice(self.precision, "precision", ("fp32", "bf16", "fp16"))
        check_parameter(self, "batch_size", check_integer)
        check_parameter(self, "n_workers", check_integer, 0)
        for name in _FLAGS:
            check_flag(getattr(self, name), name)
        check_device(self.device)
        check_verbose(self.verbose)
        if self.modality == "text":
            return as_texts(X)
        images = as_images(X)
        if self.n_workers:
            refuse_open_files(images)
        return images

    def _locate(self):
        return locate(self.model_name, self.pretrained, **self._hub())

    def _hub(self):
        return {"weights_dir": self.weights_dir, "local_files_only": bool(self.local_files_only)}

    def _device(self):
        device = resolve_device(self.device)
        if self.precision == "fp16" and device.type == "cpu":
            raise ValueError(
                "precision='fp16' is for GPUs, and the device is the CPU: use 'bf16' or 'fp32'."
            )
        return str(device)

    def _encode(self, located, items):
        """Yield positions, embeddings and troubles of items, a batch at a time."""
        device = self._device()
        with generator_lock:  # threads that need the same model share one
            model, preprocess = load_model(located, device, bool(self.compile))
        if self.modality == "image":
            encoder = partial(model.encode_image, normalize=False)
            batches = picture_batches(
                items,
                preprocess,
                exif_orientation=bool(self.exif_orientation),
                batch_size=self.batch_size,
                n_workers=min(self.n_workers, len(items)),
                pin_memory=device.startswith("cuda"),
            )
        else:
            encoder = text_encoder(model)
            tokenizer = load_tokenizer(located, **self._hub())
            batches = text_batches(items, tokenizer, model, batch_size=self.batch_size)
        return embedded(
            batches, encoder, device, precision=self.precision, normalize=bool(self.normalize)
        )

    def __sklearn_is_fitted__(self):
        return True

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags
