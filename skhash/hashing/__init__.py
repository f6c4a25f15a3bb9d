"""Vectors to bits: estimators that learn short binary codes of images and texts from pairs."""

from .._libraries import lazy_names
from . import supervised as supervised

_MODULES = {
    "CCAHasher": "_cca",
    "CMFHHasher": "_cmfh",
    "ConsensusHasher": "_consensus",
    "FSHHasher": "_fsh",
    "IMHHasher": "_imh",
    "ITQHasher": "_sign",
    "RandomHyperplaneHasher": "_sign",
    "SignHasher": "_sign",
    "AGCHHasher": "_deep.agch",
    "CFRHHasher": "_deep.cfrh",
    "CIRHHasher": "_deep.cirh",
    "CLIP4HashingHasher": "_deep.clip4hashing",
    "DGCPNHasher": "_deep.dgcpn",
    "DJSRHHasher": "_deep.djsrh",
    "DSAHHasher": "_deep.dsah",
    "DUCHHasher": "_deep.duch",
    "HNHHasher": "_deep.hnh",
    "JDSHHasher": "_deep.jdsh",
    "UCCHHasher": "_deep.ucch",
}
# Bases for methods of one's own are public, but no hashers.
_BASES = {"AffinityHasher": "_deep.base"}

__all__ = sorted(_MODULES)

__getattr__, __dir__ = lazy_names(__name__, {**_MODULES, **_BASES})
