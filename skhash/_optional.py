"""Import what is optional, or say which extra brings it."""

from importlib import import_module


def import_optional(module, *, extra, purpose):
    """Import an optional dependency.

    Parameters
    ----------
    module : str
        Name of the module, for example ``"matplotlib.pyplot"``.
    extra : str
        Extra of the distribution that installs it.
    purpose : str
        What needs it, as the subject of the error's sentence.

    Returns
    -------
    module
        The imported module.

    Raises
    ------
    ImportError
        If it is not installed. The message names the extra.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        missing = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != missing:
            raise
        raise ImportError(
            f"{purpose} needs {missing}, which is not installed: "
            f'pip install "scikit-hash[{extra}]".'
        ) from error
