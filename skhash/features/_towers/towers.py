"""Two encoders that embed images and texts in one space, ready to be trained.

They are open_clip's ``visual`` and ``text``, each a backbone and a projection. This module adds the
backbone's output beside the embedding, texts as long as the longest of their batch, parts that stay
frozen bit for bit, and weights as arrays.
"""

import json
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.utils import gen_batches
from torch import nn

from ..._inputs.checks import check_choice
from ..._inputs.messages import warn
from ..._libraries import import_optional, import_with_torchvision
from ..._torch.generator import seeded
from ..._torch.weights import from_numpy
from .._items import describe_image, open_image
from .backbones import image_outputs, is_of_transformers, is_resnet, padding, text_outputs, trim
from .folder import write_folder
from .models import Located
from .resize import check_resized
from .tokens import load_tokenizer, tokenize, warn_of_unknown

# Names of what is trained; those of projections differ between open_clip's towers.
_SCALE = ("logit_scale", "logit_bias")
_PARTS = {
    "projections": (
        *("visual.proj", "visual.head", "visual.attnpool"),
        *("text.proj", "text.text_projection"),
        *_SCALE,
    ),
    "image": ("visual", *_SCALE),
    "text": ("text", *_SCALE),
    "all": ("visual", "text", *_SCALE),
}


class Towers(nn.Module):
    """An image encoder and a text encoder, with their preprocessing.

    Parameters
    ----------
    model : open_clip.CustomTextCLIP
        The network; ``model.logit_scale`` is the logarithm of the inverse temperature.
    tokenizer : callable
        Turns a list of str into a tensor of tokens, of shape (n_texts, context_length).
    config : dict
        All that `rebuild_towers` needs beside the weights: ``model_cfg`` and ``preprocess_cfg`` as
        open_clip writes them, and ``files``, the bytes of the text encoder's files by name.
    """

    def __init__(self, model, tokenizer, config):
        super().__init__()
        self.model, self.tokenizer, self.config = model, tokenizer, config
        # Some are fixed by design, such as positions of sines and cosines.
        self._learned = {name for name, p in model.named_parameters() if p.requires_grad}
        if is_resnet(model.visual):  # a third faster, on CPUs and GPUs
            model.visual.to(memory_format=torch.channels_last)
        open_clip = import_with_torchvision("open_clip")
        preprocess = config["preprocess_cfg"]
        transform = open_clip.image_transform(model.visual.image_size, is_train=False, **preprocess)
        self._resize = transform.transforms[:-2]  # without the steps to a tensor and to unit scale
        for name in ("mean", "std"):
            value = torch.tensor(preprocess[name]).view(3, 1, 1)
            self.register_buffer(name, value, persistent=False)

    @property
    def device(self):
        """Where the weights are."""
        return self.model.logit_scale.device

    @property
    def pad_id(self):
        """The token that fills up a text."""
        return padding(self.model.text)

    @property
    def special_ids(self):
        """The tokens that are no words."""
        return sorted({self.pad_id, *self._inner_tokenizer.all_special_ids})

    @property
    def _inner_tokenizer(self) -> Any:
        return getattr(self.tokenizer, "tokenizer", self.tokenizer)

    def read_images(self, images, rows=None):
        """Load images and resize them, before augmentation and normalization.

        Parameters
        ----------
        images : list
            What `as_images` has checked.
        rows : sequence of int, default=None
            Rows to name in an error; ``None`` means 0, 1, ...

        Returns
        -------
        Tensor of shape (n_images, 3, height, width), uint8
            The pixels.
        """
        size = self.model.visual.image_size
        height, width = size if isinstance(size, (tuple, list)) else (size, size)
        pixels = torch.empty((len(images), 3, height, width), dtype=torch.uint8)
        for position, image in enumerate(images):
            try:
                picture = open_image(image)
                check_resized(picture, self._resize)
            except ValueError as error:
                row = position if rows is None else rows[position]
                raise ValueError(
                    f"an image cannot be read, row {row} ({describe_image(image)}): {error}; "
                    "repair or drop it."
                ) from error
            for change in self._resize:
                picture = change(picture)
            pixels[position] = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
        return pixels

    def read_texts(self, texts):
        """Tokenize texts; warn of those that are cut, and of those without known words.

        Parameters
        ----------
        texts : list of str
            The texts.

        Returns
        -------
        Tensor of shape (n_texts, context_length), int64
            The tokens.
        """
        tokens, is_cut = tokenize(self.tokenizer, texts)
        if n_long := int(is_cut.sum()):
            warn(
                f"{n_long} of {len(texts)} texts are longer than the {tokens.shape[1]} tokens that "
                "the text encoder reads, and were cut: shorten or split them.",
            )
        # Tokenizers of pieces of words have none for what is unknown, or use it for padding.
        unknown_id = getattr(self._inner_tokenizer, "unk_token_id", None)
        unknown_id = None if unknown_id == self.pad_id else unknown_id
        warn_of_unknown(tokens, self.special_ids, unknown_id)
        return tokens

    def image_features(self, images):
        """Embed a batch of images, in the mode and with the gradients that are set.

        Parameters
        ----------
        images : Tensor of shape (n_images, 3, height, width), uint8 or float in [0, 1]
            The pixels, not normalised.

        Returns
        -------
        embeddings : Tensor of shape (n_images, embed_dim), float32
            Unit vectors.
        pooled : Tensor of shape (n_images, image_width)
            The output of the backbone, before the projection.
        """
        if images.dtype == torch.uint8:
            images = images / 255
        pooled, embeddings = image_outputs(self.model.visual, (images - self.mean) / self.std)
        return F.normalize(embeddings.float(), dim=-1), pooled

    def text_features(self, tokens):
        """Embed a batch of texts, likewise.

        Parameters
        ----------
        tokens : Tensor of shape (n_texts, context_length), int64
            As `read_texts` gives them.

        Returns
        -------
        embeddings : Tensor of shape (n_texts, embed_dim), float32
            Unit vectors.
        pooled : Tensor of shape (n_texts, text_width)
            The output of the backbone, before the projection.
        """
        pooled, embeddings = text_outputs(self.model.text, trim(self.model.text, tokens))
        return F.normalize(embeddings.float(), dim=-1), pooled

    def encode_images(self, images, batch_size=256):
        """Embed images in evaluation mode, as an ndarray of shape (n_images, embed_dim)."""
        return self._encode(self.image_features, images, batch_size)

    def read_and_encode(self, images):
        """Embed what `as_images` has checked, likewise; never hold the pixels of all of it."""
        parts = gen_batches(len(images), 256)
        pixels = (self.read_images(images[p], range(p.start, p.stop)) for p in parts)
        return np.concatenate([self.encode_images(batch) for batch in pixels])

    def encode_texts(self, tokens, batch_size=256):
        """Embed texts in evaluation mode, as an ndarray of shape (n_texts, embed_dim)."""
        return self._encode(self.text_features, tokens, batch_size)

    def _encode(self, features, inputs, batch_size):
        with _evaluating(self):
            rows = [
                features(inputs[batch].to(self.device))[0].cpu()
                for batch in gen_batches(len(inputs), batch_size)
            ]
        return torch.cat(rows).numpy()

    def pooled_widths(self):
        """Return the widths of the two backbones' outputs, image first."""
        size = self.model.visual.image_size
        shape = size if isinstance(size, (tuple, list)) else (size, size)
        with _evaluating(self):
            _, image = self.image_features(torch.zeros(1, 3, *shape, device=self.device))
            _, text = self.text_features(self.tokenizer([""]).to(self.device))
        return image.shape[1], text.shape[1]

    def train_only(self, part):
        """Train one part and freeze the rest: no gradient, no dropout, no running statistics.

        Parameters
        ----------
        part : {"projections", "image", "text", "all"}
            What is trained: the two projections, one encoder, or both; the temperature always.

        Returns
        -------
        dict of str to Parameter
            The parameters to train.
        """
        check_choice(part, "part", _PARTS)
        for name, module in self.model.named_modules():
            module.training = _belongs(name, part)
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(name in self._learned and _belongs(name, part))
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad}

    def set_grad_checkpointing(self, enable=True):
        """Compute activations a second time in the backward pass instead of keeping them."""
        visual, text = self.model.visual, self.model.text
        visual.set_grad_checkpointing(enable)
        if not is_of_transformers(text):
            text.set_grad_checkpointing(enable)
            return
        # Not open_clip's, which takes False for True. The name changed with transformers 5.
        new = hasattr(text.transformer, "activation_checkpointing_enable")
        name = f"{'activation' if new else 'gradient'}_checkpointing_"
        if enable:
            getattr(text.transformer, name + "enable")({"use_reentrant": False})
        else:
            getattr(text.transformer, name + "disable")()


def _belongs(name, part):
    return any(name == start or name.startswith(f"{start}.") for start in _PARTS[part])


@contextmanager
def _evaluating(module):
    """Put a module into evaluation mode for a while, whatever the modes of its parts."""
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part in training:
            part.training = True


def rebuild_towers(config, state=None, *, seed=0):
    """Build towers from their configuration, without a network.

    Parameters
    ----------
    config : dict
        As in `Towers`.
    state : dict of str to ndarray, default=None
        The weights; ``None`` means random ones.
    seed : int, default=0
        Seed of random weights. The global generator of torch stays as it is.

    Returns
    -------
    Towers
        The towers, on the CPU.
    """
    open_clip = import_with_torchvision("open_clip")
    with TemporaryDirectory() as folder, seeded(seed):
        model_cfg = write_folder(Path(folder), config, place=folder)
        if "hf_model_name" in model_cfg["text_cfg"]:
            import_optional("transformers", extra="transformers", purpose="the text encoder")
            model_cfg["text_cfg"] |= {"hf_model_name": folder, "hf_model_pretrained": False}
        arguments = {key: value for key, value in model_cfg.items() if key != "custom_text"}
        model = open_clip.CustomTextCLIP(**arguments)
        located = Located(f"local-dir:{folder}", json.dumps(model_cfg))
        tokenizer = load_tokenizer(located, weights_dir=None, local_files_only=True)
    if state is not None:
        from_numpy(model, state)
    return Towers(model, tokenizer, config)
