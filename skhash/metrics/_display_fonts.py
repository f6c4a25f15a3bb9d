"""Fonts for texts in any script: matplotlib draws boxes where the chosen font lacks characters."""

import unicodedata
from functools import cache

from .._inputs.messages import warn

_BOX = "□"  # what stands for a character that no font has
_HAS_BOX = "DejaVu Sans"  # which matplotlib brings along
# These have a glyph for every character, which is a box again.
_PLACEHOLDERS = ("Last Resort", "Adobe Blank")
_JOINERS = "\u200d\ufeff"  # within emoji, of which matplotlib draws each by itself
_CJK = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "IDEOGRAPHIC", "FULLWIDTH")


class Writing:
    """How to write texts: the fonts to take, and the characters that none of them has.

    Warns if there are such characters.

    Parameters
    ----------
    texts : list of str
        All texts of a figure.

    Attributes
    ----------
    families : list of str or None
        Names of fonts, the first one that has a character draws it; None where matplotlib's own
        setting will do.
    absent : set of str
        The characters that no font has.
    """

    def __init__(self, texts):
        from matplotlib import rcParams

        chosen = list(rcParams["font.family"])
        needed = {ord(char) for text in texts for char in text if not _is_unseen(char)}
        found, absent = _choose(needed - _held_by(chosen))
        self.absent = set(map(chr, absent))
        self.families = [*chosen, *found, _HAS_BOX] if found or absent else None
        if absent:
            _warn_of(sorted(self.absent))

    def drawable(self, text):
        """Return a text with a box for each character that no font has."""
        if self.families is None:
            return text
        shown = (_BOX if char in self.absent else char for char in text)
        return "".join(char for char in shown if char not in _JOINERS)


def _is_unseen(char):
    """Say whether a character has no shape: spaces, controls, joiners."""
    return char.isspace() or unicodedata.category(char) in ("Cc", "Cf", "Cs")


def _choose(needed):
    """Choose fonts that have characters, as few as possible; return their names and the rest."""
    chosen, left = [], set(needed)
    if not left:
        return chosen, left
    fonts = {}
    for name, path in _installed():
        fonts[name] = left & _characters(path)
        if fonts[name] == left:
            return [name], set()
    while left and any(held & left for held in fonts.values()):
        best = max(fonts, key=lambda name: len(fonts[name] & left))
        chosen.append(best)
        left -= fonts[best]
    return chosen, left


def _installed():
    """Return the name and the path of each family of fonts, sans-serif ones of many scripts first.

    Of a family, the upright font of normal weight.
    """
    from matplotlib.font_manager import fontManager

    def order(font):
        weight = font.weight if isinstance(font.weight, int) else 400
        first = font.name != _HAS_BOX, "Noto Sans" not in font.name
        return *first, font.name, font.style != "normal", abs(weight - 400)

    families = {}
    for font in sorted(fontManager.ttflist, key=order):
        if not font.name.startswith(_PLACEHOLDERS):
            families.setdefault(font.name, font.fname)
    return list(families.items())


def _held_by(families):
    """Return the numbers of the characters that matplotlib finds in some families."""
    from matplotlib.font_manager import FontProperties, findfont

    held = set()
    for family in families:
        try:
            # In a list: a name alone is parsed as a pattern of fontconfig.
            path = findfont(FontProperties(family=[family]), fallback_to_default=False)
        except ValueError:  # not installed: matplotlib says so itself
            continue
        held |= _characters(path)
    # Where none is installed, matplotlib takes its own.
    return held or _characters(findfont(FontProperties(family=[_HAS_BOX])))


@cache
def _characters(path):
    """Return the numbers of the characters of a font."""
    from matplotlib.font_manager import get_font

    try:
        return frozenset(get_font(path).get_charmap())
    except (OSError, RuntimeError):  # a broken file
        return frozenset()


def _warn_of(absent):
    scripts = sorted({_script(char) for char in absent})
    fonts = dict.fromkeys(_font_of(script) for script in scripts)
    shown = "".join(absent[:12]) + ("..." if len(absent) > 12 else "")
    warn(
        f"no installed font has {len(absent)} of the characters ({', '.join(scripts)}: {shown}), "
        f"which are drawn as boxes: install {' and '.join(fonts)}, or name a font that has them in "
        "matplotlib.rcParams['font.family']; a font installed now is found by a new process."
    )


def _script(char):
    """Name the script of a character.

    >>> [_script(char) for char in "狗あ한हж🐕"]
    ['CJK', 'CJK', 'CJK', 'Devanagari', 'Cyrillic', 'emoji']
    """
    first = unicodedata.name(char, "unknown").replace("-", " ").split()[0]
    if first in _CJK:
        return "CJK"
    if unicodedata.category(char) in ("So", "Sk", "Mn") and ord(char) >= 0x2190:
        return "emoji"
    return first.capitalize()


def _font_of(script):
    """Name a font to install, and the package of Debian and Ubuntu that holds it."""
    if script == "CJK":
        return "Noto Sans CJK (package fonts-noto-cjk of Debian and Ubuntu)"
    if script == "emoji":
        return "Symbola (fonts-symbola)"
    return "Noto Sans of these scripts (fonts-noto-core)"
