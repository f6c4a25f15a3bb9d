"""The loss of a batch: encoders, heads and three contrastive terms as one module."""

from typing import Any

import torch
from torch import distributed, nn

from ..._blocks import BLOCKS
from .losses import cross_modal_loss, image_loss, make_head, negative_mask, text_loss


class Objective(nn.Module):
    """Encoders and the heads of the uni-modal losses, from a batch to its loss terms.

    Where several processes share a batch, each passes its own rows and gets the terms of these
    against all rows.

    Parameters
    ----------
    towers : Towers
        What is trained and kept.
    losses : Losses
        Temperatures, heads and the threshold of the mask.
    generator : torch.Generator
        Source of the heads' initial weights.
    """

    def __init__(self, towers, losses, generator):
        super().__init__()
        self.towers = towers
        width = towers.config["model_cfg"]["embed_dim"]
        kinds = losses.image_head, losses.text_head
        heads = [
            make_head(kind, n_inputs, 4 * width, width, generator)
            for kind, n_inputs in zip(kinds, towers.pooled_widths(), strict=True)
        ]
        self.heads = nn.ModuleDict(dict(zip(BLOCKS, heads, strict=True)))
        self.has_head = {b: kind is not None for b, kind in zip(BLOCKS, kinds, strict=True)}
        self.image_temperature = losses.image_temperature
        self.text_temperature = losses.text_temperature
        self.mask_threshold = losses.mask_threshold

    def forward(self, views, tokens, ids, weights):
        """Compute the loss terms of a batch.

        Parameters
        ----------
        views : list of Tensor of shape (m, 3, height, width)
            One or two views of the images, without normalization.
        tokens : list of Tensor of shape (m, context_length)
            One or two passes of the texts.
        ids : list of Tensor of shape (n,)
            Ids that rows may have in common, of the rows of all processes.
        weights : dict of str to float
            Weights of the terms ``"cross"``, ``"image"`` and ``"text"``.

        Returns
        -------
        dict of str to Tensor of shape ()
            The terms whose weight is not 0, their weighted sum ``"total"``, and ``"masked"``, the
            share of pairs that are no negatives.
        """
        images = self._embed("image", self.towers.image_features, views)
        texts = self._embed("text", self.towers.text_features, tokens)
        first = {"image": images[0][0], "text": texts[0][0]}
        rows = own_rows(len(first["image"]))
        alike: dict[str, Any] = {}
        if self.mask_threshold is not None:
            joint = torch.cat([first["image"], first["text"]], dim=1).detach()
            alike = {"features": joint / 2**0.5, "threshold": self.mask_threshold}
        mask = negative_mask(*ids, **alike, rows=rows)
        terms = {}
        if weights["cross"]:
            scale = self.towers.model.logit_scale.exp()
            terms["cross"] = cross_modal_loss(first["image"], first["text"], scale, mask, rows)
        if weights["image"]:
            one, other = self._through_head("image", images)
            terms["image"] = image_loss(one, other, self.image_temperature, mask, rows)
        if weights["text"]:
            one, other = self._through_head("text", texts)
            terms["text"] = text_loss(one, other, self.text_temperature, mask, rows)
        total = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
        return {"total": total, **terms, "masked": mask.float().mean()}

    def _embed(self, block, features, passes):
        """Return embeddings and backbone outputs of each pass, of the rows of all processes."""
        embeddings, pooled = features(torch.cat(passes))
        n = len(passes)
        outputs = pooled if self.has_head[block] and n > 1 else embeddings
        chunks = zip(embeddings.chunk(n), outputs.chunk(n), strict=True)
        return [(gather(embedding), gather(output)) for embedding, output in chunks]

    def _through_head(self, block, passes):
        """Pass the outputs of both passes through the head together, for the uni-modal loss."""
        outputs = torch.cat([output for _, output in passes]).float()
        return self.heads[block](outputs).chunk(len(passes))


def n_processes():
    """Count the processes that train together."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_world_size()
    return 1


def own_rank():
    """Return the number of this process among those that train together."""
    return distributed.get_rank() if n_processes() > 1 else 0


def own_rows(n):
    """Return the slice of a joined batch of n rows that belongs to this process."""
    rank, n_all = own_rank(), n_processes()
    return slice(rank * n // n_all, (rank + 1) * n // n_all)


def gather(rows):
    """Join the rows of all processes, with gradients."""
    if n_processes() == 1:
        return rows
    from torch.distributed.nn.functional import all_gather

    return torch.cat(all_gather(rows))


def mean_over_processes(value):
    """Return the mean of a number that each process has a share of."""
    if n_processes() == 1:
        return value
    total = torch.tensor(value, dtype=torch.float64)
    if distributed.get_backend() == "nccl":
        total = total.cuda()
    distributed.all_reduce(total)
    return total.item() / n_processes()
