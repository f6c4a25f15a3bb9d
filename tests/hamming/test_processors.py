"""Compiled searches find the same on processors with other instructions."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_AVX2 = "+sse,+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt,+avx,+avx2"
_AVX512 = f"{_AVX2},+bmi,+bmi2,+fma,+avx512f,+avx512bw,+avx512vl,+avx512dq,+avx512cd"
PROCESSORS = {  # by the bytes that one instruction looks up
    64: {"NUMBA_CPU_NAME": "skylake-avx512", "NUMBA_CPU_FEATURES": _AVX512},
    32: {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": _AVX2},
    16: {"NUMBA_ENABLE_AVX": "0"},
    0: {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": "+sse,+sse2"},
}

SEARCH = """
import numpy as np
from test_asymmetric import assert_equal, draw, find, words
from skhash._hamming import nearest_planes_numba, planes_numba
from skhash._hamming.search import nearest

for n_bits in 16, 128, 320:
    real, bits = draw(0, 40, 3000, n_bits)
    keep = np.arange(3000) % 7 > 0
    assert_equal(*(find(real, bits, 9, keep=keep, algorithm=e) for e in ("numpy", "numba")))
    sides = words(real >= 0), words(bits), 9
    assert_equal(*(nearest(*sides, keep=keep, algorithm=e) for e in ("numpy", "numba")))
suits = nearest_planes_numba.suits(words(bits[:, :64]), 40)
print(planes_numba.WIDTH if planes_numba.LOOKS_UP else 0, suits)
"""


@pytest.mark.parametrize("width", PROCESSORS)
def test_other_processors_find_the_same(width, tmp_path):
    codegen = pytest.importorskip("numba.core.codegen")
    wanted = set((_AVX512 if width == 64 else _AVX2).split(","))
    if not wanted <= set(codegen.get_host_cpu_features().split(",")):
        pytest.skip("the processor has none of these instructions")
    environment = os.environ | PROCESSORS[width] | {"NUMBA_CACHE_DIR": str(tmp_path)}
    environment["PYTHONPATH"] = os.pathsep.join(str(Path(path).resolve()) for path in sys.path)
    done = subprocess.run(
        [sys.executable, "-c", SEARCH], cwd=Path(__file__).parent, env=environment,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == f"{width} {width > 16}\n", done.stderr
