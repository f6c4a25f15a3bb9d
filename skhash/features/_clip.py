"""Images or texts as embeddings of CLIP."""

import warnings
from numbers import Integral

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_scalar, gen_batches

from .._device import resolve_device
from ._items import as_images, as_texts, describe_image, distinct, open_image
from ._open_clip import load_model, load_tokenizer, locate, read_config


class CLIPFeaturizer(TransformerMixin, BaseEstimator):
    r"""Embeddings of images or texts by a model of open_clip.

    An image :math:`x` becomes :math:`f(x) / \lVert f(x) \rVert`, where :math:`f` is one tower of a
    network that was trained to give an image and its caption the same direction [1]_. Nothing is
    learned here: ``transform`` works without ``fit``. A process loads a model once, at the
    first ``transform``; a pickle holds its name, not its weights.

    Parameters
    ----------
    model_name : str, default="ViT-B-32"
        A name that open_clip knows, ``"hf-hub:<owner>/<name>"``, or ``"local-dir:<folder>"``.
    pretrained : str, os.PathLike or None, default="openai"
        A tag of open_clip, or the path of a state dict; a model of a hub or a folder brings its
        own weights. ``None`` means random weights, the same in every process, for tests.
        Tags whose weights need QuickGELU get it. A file says nothing of it: give the
        model name that ends in ``-quickgelu`` where it does.
    modality : {"image", "text"}, default="image"
        What a row of `X` is. A str is a path for images and a text for texts.
    batch_size : int, default=32
        Number of items that pass the network at once.
    normalize : bool, default=True
        Whether to divide each embedding by its Euclidean norm.
    on_error : {"raise", "nan"}, default="raise"
        What an image that cannot be read does: raise a ValueError, or give a row of NaN and one
        warning. The number of rows never changes.
    local_files_only : bool, default=False
        Whether to use only what is on this disk, without asking the network.
    cache_dir : str, os.PathLike or None, default=None
        Folder of downloaded weights; ``None`` means that of huggingface_hub.
    device : str, default="auto"
        Device of torch; ``"auto"`` takes ``"cuda"`` where there is one, else ``"cpu"``.

    Notes
    -----
    Images are read as open_clip reads them: converted to RGB, with the orientation noted in EXIF
    ignored. Embeddings of one item agree to 1e-5 between batch sizes, not to the last bit.

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
        batch_size=32,
        normalize=True,
        on_error="raise",
        local_files_only=False,
        cache_dir=None,
        device="auto",
    ):
        self.model_name = model_name
        self.pretrained = pretrained
        self.modality = modality
        self.batch_size = batch_size
        self.normalize = normalize
        self.on_error = on_error
        self.local_files_only = local_files_only
        self.cache_dir = cache_dir
        self.device = device

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
            For images: paths, bytes of files, PIL images, or uint8 arrays of shape (height, width)
            or (height, width, 3). For texts: str. A one-column dataframe or array will do.

        Returns
        -------
        ndarray of shape (n_samples, n_dimensions), float32
            The embeddings.

        Raises
        ------
        ValueError
            If there are no rows, a row is missing, an image cannot be read and `on_error` is
            ``"raise"``, the model or tag is unknown, or the weights do not fit the model.
        TypeError
            If `X` is no sequence or a row is of another kind.
        OSError
            If weights are neither on this disk nor to be had.
        """
        items = self._check(X)
        first, inverse = distinct(items)
        encode = self._encode_images if self.modality == "image" else self._encode_texts
        return encode([items[row] for row in first], first)[inverse]

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
        if self.modality not in {"image", "text"}:
            raise ValueError(f"modality must be 'image' or 'text', got {self.modality!r}.")
        if self.on_error not in {"raise", "nan"}:
            raise ValueError(f"on_error must be 'raise' or 'nan', got {self.on_error!r}.")
        check_scalar(self.batch_size, "batch_size", Integral, min_val=1)
        return as_images(X) if self.modality == "image" else as_texts(X)

    def _locate(self):
        return locate(self.model_name, self.pretrained, **self._hub())

    def _hub(self):
        return {"cache_dir": self.cache_dir, "local_files_only": bool(self.local_files_only)}

    def _device(self):
        return str(resolve_device(self.device))

    def _encode_images(self, images, rows):
        located, device = self._locate(), self._device()
        model, preprocess = load_model(located, device)
        vectors = np.full((len(images), located.embed_dim), np.nan, np.float32)
        failures = []
        for batch in gen_batches(len(images), self.batch_size):
            tensors = {}
            for item in range(batch.start, batch.stop):
                try:
                    tensors[item] = preprocess(open_image(images[item]))
                except ValueError as error:
                    message = f"row {rows[item]} ({describe_image(images[item])}): {error}"
                    if self.on_error == "raise":
                        raise ValueError(
                            f"an image cannot be read, {message}; mend or drop it, or set "
                            "on_error='nan'."
                        ) from error
                    failures.append(message)
            if tensors:
                vectors[list(tensors)] = self._forward(model.encode_image, tensors.values(), device)
        if failures:
            warnings.warn(
                f"{len(failures)} of {len(images)} distinct images cannot be read and became NaN: "
                + "; ".join(failures[:3])
                + ("; ..." if len(failures) > 3 else ""),
                UserWarning,
                stacklevel=4,  # past transform and scikit-learn's wrapping of it
            )
        return vectors

    def _encode_texts(self, texts, rows):
        located, device = self._locate(), self._device()
        model, _ = load_model(located, device)
        tokenizer = load_tokenizer(located, **self._hub())
        vectors, n_long = [], 0
        for batch in gen_batches(len(texts), self.batch_size):
            tokens = tokenizer(texts[batch])
            # One place more changes a text that was cut, and only pads one that was not.
            longer = tokenizer(texts[batch], context_length=tokens.shape[1] + 1)
            n_long += int((longer[:, :-1] != tokens).any(1).sum())
            vectors.append(self._forward(model.encode_text, tokens, device))
        if n_long:
            warnings.warn(
                f"{n_long} of {len(texts)} distinct texts are longer than the tokens that "
                f"{self.model_name!r} reads, {tokenizer.context_length}, and were cut: shorten or "
                "split them.",
                UserWarning,
                stacklevel=4,  # past transform and scikit-learn's wrapping of it
            )
        return np.concatenate(vectors)

    def _forward(self, encode, tensors, device):
        import torch

        with torch.inference_mode():
            batch = torch.stack(tuple(tensors)).to(device)
            return encode(batch, normalize=bool(self.normalize)).float().cpu().numpy()

    def __sklearn_is_fitted__(self):
        return True

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags
