"""Read COCO's own files and check that their ids are unique and consistent."""

from contextlib import contextmanager

import numpy as np

from .._inputs.messages import cut, shorten
from ._pairs import existing_file, read_json


def read_captions(path):
    """Return the names of the pictures by id, and the ids and captions of the annotations."""
    content = read_json(path)
    with in_format_of(path, "COCO's captions"):
        names = _by_id(content["images"], "file_name", path)
        ids = [annotation["image_id"] for annotation in content["annotations"]]
        texts = [annotation["caption"] for annotation in content["annotations"]]
        _check_known(ids, names, "image_id", path)
    return names, ids, texts


def read_classes(instances, ids, pictures):
    """Return the classes of the pictures with these ids, and their names."""
    path = existing_file(instances)
    content = read_json(path)
    with in_format_of(path, "COCO's instances"):
        names = _by_id(content["categories"], "name", path)
        column = {number: j for j, number in enumerate(sorted(names))}
        files = _by_id(content["images"], "file_name", path, is_needed=False)
        line = {number: i for i, number in enumerate(files)}
        shown = [(one["image_id"], one["category_id"]) for one in content["annotations"]]
        _check_known([image for image, _ in shown], line, "image_id", path)
        _check_known([category for _, category in shown], column, "category_id", path)
    target = np.zeros((len(line), len(column)), dtype=np.uint8)
    for image, category in shown:
        target[line[image], column[category]] = 1
    strange = [number for number in dict.fromkeys(ids) if number not in line]
    if strange:
        raise ValueError(
            f"{path} does not list {len(strange)} of the pictures that have captions, first "
            f"{shorten(strange[0])}: give the instances of the same pictures."
        )
    for number in ids:
        if files[number] not in (None, pictures[number]):
            raise ValueError(
                f"{path} names the file of image {shorten(number)} {shorten(files[number])}, the "
                f"captions name it {shorten(pictures[number])}: give the instances of the same "
                "pictures."
            )
    return target[[line[i] for i in ids]], [names[number] for number in column]


def _by_id(items, field, path, is_needed=True):
    """Return a field of each item by the item's id, which no two may share."""
    found = {}
    for item in items:
        number, value = item["id"], item[field] if is_needed else item.get(field)
        if found.setdefault(number, value) != value:
            raise ValueError(
                f"{path} has the id {shorten(number)} twice, for {shorten(found[number])} and for "
                f"{shorten(value)}: give each its own."
            )
    return found


def _check_known(numbers, known, what, path):
    """Check that annotations are of images and categories that the file lists."""
    orphans = [number for number in numbers if number not in known]
    if orphans:
        raise ValueError(
            f"{path} has {len(orphans)} annotations whose {what} it does not list, first "
            f"{shorten(orphans[0])}: list it, or drop them."
        )


@contextmanager
def in_format_of(path, what):
    try:
        yield
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is not in the format of {what} ({type(error).__name__}: {cut(error)}): give "
            "the official file."
        ) from error
