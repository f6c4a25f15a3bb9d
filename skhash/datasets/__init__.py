"""Where pairs of images and texts come from.

``make_*`` draws pairs, ``fetch_*`` reads a published data set and downloads it where it is missing.
"""

from ._home import clear_data_home, get_data_home
from ._scenes import make_scenes
from ._wiki import fetch_wiki

__all__ = ["clear_data_home", "fetch_wiki", "get_data_home", "make_scenes"]
