"""Vectors to bits: estimators that learn short binary codes of images and texts from pairs."""

from importlib import import_module

from . import supervised as supervised

_MODULES = {
    "CCAHasher": "_cca",
    "AGCHHasher": "_deep.agch",
    "CFRHHasher": "_deep.cfrh",
    "CLIP4HashingHasher": "_deep.clip4hashing",
    "CMFHHasher": "_cmfh",
    "ConsensusHasher": "_consensus",
    "FSHHasher": "_fsh",
    "IMHHasher": "_imh",
    "ITQHasher": "_sign",
    "RandomHyperplaneHasher": "_sign",
    "SignHasher": "_sign",
    "CIRHHasher": "_deep.cirh",
    "DGCPNHasher": "_deep.dgcpn",
    "DJSRHHasher": "_deep.djsrh",
    "DSAHHasher": "_deep.dsah",
    "DUCHHasher": "_deep.duch",
    "HNHHasher": "_deep.hnh",
    "JDSHHasher": "_deep.jdsh",
    "UCCHHasher": "_deep.ucch",
}

__all__ = sorted(_MODULES)


def __getattr__(name):
    if name in _MODULES:  # only the hashers that train networks load torch
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
