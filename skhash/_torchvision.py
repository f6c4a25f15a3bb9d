"""Import what needs torchvision beside a CPU build of torch.

The torchvision wheels of the package index are CUDA builds. Beside a CPU torch their compiled part
cannot be loaded; torchvision tolerates that but for two operators whose fake kernels it registers
at import (https://github.com/pytorch/vision/issues/9085). Declaring the two schemas first is
enough, since nothing here calls them.
"""

import sys
import threading
from importlib import import_module

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_OPERATORS = ("nms", "qnms")
_lock = threading.Lock()
_alive = []  # a dropped torch.library.Library takes its definitions with it


def import_with_torchvision(module):
    """Import a module that imports torchvision: open_clip, timm, or torchvision itself.

    Parameters
    ----------
    module : str
        Name of the module.

    Returns
    -------
    module
        The imported module.
    """
    with _lock:  # else one thread would take away what another has half imported
        return _import(module)


def _import(module):
    try:
        return import_module(module)
    except RuntimeError as error:
        if "operator torchvision::nms does not exist" not in str(error):
            raise
    # What is half imported must go: the module itself and everything of torchvision.
    for name in list(sys.modules):
        if name.partition(".")[0] in {"torchvision", module.partition(".")[0]}:
            del sys.modules[name]
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in _OPERATORS:
        library.define(operator + _SCHEMA)
    _alive.append(library)
    return import_module(module)
