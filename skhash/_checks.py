"""Checks that rooms share."""


def check_choice(value, name, choices):
    """Check that a value is one of the choices."""
    if value not in list(choices):  # not every value can be hashed
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}.")
