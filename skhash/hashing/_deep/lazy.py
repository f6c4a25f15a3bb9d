"""What needs torch, imported when it is first used: fitted hashers encode without torch."""

from typing import TYPE_CHECKING

from ..._libraries import LazyModule

if TYPE_CHECKING:
    import torch

    from . import functional as F
    from . import graphs, networks, training
else:

    def _lazy(name):
        return LazyModule(name, "training a network")

    torch, F = _lazy("torch"), _lazy(f"{__package__}.functional")
    graphs, networks, training = (
        _lazy(f"{__package__}.{name}") for name in ("graphs", "networks", "training")
    )

__all__ = ["F", "graphs", "networks", "torch", "training"]
