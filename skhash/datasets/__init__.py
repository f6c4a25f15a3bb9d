"""Data sets of pairs of images and texts.

``make_*`` draws pairs, ``load_*`` reads files of your own, ``fetch_*`` a published data set.
"""

from ._benchmarks import fetch_mirflickr25k, fetch_mscoco, fetch_nuswide
from ._captions import load_coco_captions, load_flickr_captions, load_karpathy
from ._clip_features import make_clip_features
from ._home import clear_data_home, get_data_home
from ._image_table import load_image_table
from ._scenes import make_scenes
from ._webdataset import load_webdataset
from ._wiki import fetch_wiki

__all__ = [
    "clear_data_home",
    "fetch_mirflickr25k",
    "fetch_mscoco",
    "fetch_nuswide",
    "fetch_wiki",
    "get_data_home",
    "load_coco_captions",
    "load_flickr_captions",
    "load_image_table",
    "load_karpathy",
    "load_webdataset",
    "make_clip_features",
    "make_scenes",
]
