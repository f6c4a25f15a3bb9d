"""The first lines of a script in which torch cannot be imported, as if it were not installed."""

FORBID_TORCH = """
import sys

class Forbidden:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

sys.meta_path.insert(0, Forbidden)
"""
