import io

import numpy as np
import pandas as pd
import polars as pl
import pytest
from PIL import Image

from skhash import make_table
from skhash.features import CrossModalFeaturizer, PatchFeaturizer
from skhash.metrics._display_items import open_image


@pytest.fixture
def cells(tmp_path):
    """Six pictures as Arrow files hold them: bytes with a name, or a path alone."""
    cells = []
    for i in range(6):
        file = io.BytesIO()
        Image.effect_noise((16, 16), 40 + i).convert("RGB").save(file, "PNG")
        path = tmp_path / f"{i}.png"
        path.write_bytes(file.getvalue())
        cells.append(
            {"bytes": None, "path": str(path)}
            if i % 2
            else {"bytes": file.getvalue(), "path": f"{i}.png"}
        )
    return cells


def paths_of(cells, tmp_path):
    return [str(tmp_path / f"{i}.png") for i in range(len(cells))]


@pytest.mark.parametrize(
    "container",
    [
        list,
        lambda cells: pd.Series(cells),
        lambda cells: np.array(cells, dtype=object),
        lambda cells: pl.Series(cells),
        lambda cells: pl.DataFrame({"image": cells}),
        lambda cells: pd.DataFrame({"image": cells}),
    ],
    ids=["list", "pandas", "numpy", "polars", "polars frame", "pandas frame"],
)
def test_pictures_may_be_dicts_of_bytes_and_path(cells, tmp_path, container):
    patches = PatchFeaturizer(3, image_size=16, random_state=0).fit(paths_of(cells, tmp_path))
    expected = patches.transform(paths_of(cells, tmp_path))
    np.testing.assert_array_equal(patches.transform(container(cells)), expected)


@pytest.mark.parametrize("library", [pd.DataFrame, pl.DataFrame])
def test_a_table_may_hold_such_pictures(cells, tmp_path, library):
    texts = [f"noise {i}" for i in range(6)]
    featurizer = CrossModalFeaturizer(image=PatchFeaturizer(3, image_size=16, random_state=0))
    expected = featurizer.fit_transform(make_table(paths_of(cells, tmp_path), texts))
    found = featurizer.fit_transform(library({"image": cells, "text": texts}))
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))


def test_a_display_draws_such_pictures(cells):
    for cell in cells:
        assert open_image(cell).size == (16, 16)


@pytest.mark.parametrize("cell", [{"bytes": None, "path": None}, {"path": None}])
def test_a_cell_without_bytes_and_path_is_a_missing_picture(cell):
    with pytest.raises(ValueError, match="row 0 of X is None, not an image"):
        PatchFeaturizer(3).fit([cell])


@pytest.mark.parametrize("cell", [{}, {"bytes": b"", "url": "x"}, {"bytes": 3}, {"path": ["x"]}])
def test_another_dict_is_no_picture(cell):
    with pytest.raises(TypeError, match="row 0 of X must be a path, bytes"):
        PatchFeaturizer(3).fit([cell])
