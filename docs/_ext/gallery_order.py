"""The order of the gallery: the first example of a newcomer first."""

FIRST = ("plot_quickstart.py", "plot_retrieval.py", "plot_choosing.py", "plot_tuning.py")


class Order:
    """Sort the examples: those named above first, the others by name."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, name):
        """Return the key of an example."""
        return (FIRST.index(name) if name in FIRST else len(FIRST), name)

    def __repr__(self):
        return "<the order of the gallery>"
