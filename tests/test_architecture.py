"""Who may import whom."""

import ast
import io
import subprocess
import sys
import tokenize
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import skhash

PACKAGE = Path(skhash.__file__).parent
PUBLIC = ("datasets", "features", "hashing", "metrics", "retrieval")
MODULES = sorted(PACKAGE.rglob("*.py"))
COMPILED = {"engine_numba.py", "histograms_numba.py", "words_numba.py"}
# The folders and files where a heavy or optional library may be imported at all.
HOMES = {
    "torch": {"_deep", "features", "_torch", "_libraries.py"},
    "torchvision": set(),  # only by the guard, by name
    "open_clip": {"features"},
    "timm": set(),
    "transformers": set(),
    "PIL": {"features", "datasets", "metrics"},
    "faiss": {"retrieval"},
    "numba": COMPILED,
    "pooch": {"datasets"},
    "h5py": {"datasets"},
    "dask": {"features"},
    "distributed": set(),  # only by Dask
    "matplotlib": {"metrics"},  # and by the demo, by name
}
# Modules that are nothing without a library may import it at their top.
TRAINING = {"_contrastive", "threads.py", "backbones.py", "towers.py"}
AT_TOP = {"torch": {"_deep", *TRAINING}, "numba": COMPILED}


def place(module):
    """Return the file or folder of the package, directly below its root, that holds a module."""
    return module.relative_to(PACKAGE).parts[0]


def imports(module):
    """Yield (name, whether at the module's top) for everything a module imports, made absolute."""
    tree = ast.parse(module.read_text())
    top = set(tree.body)
    parts = ("skhash", *module.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node in top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            base = ".".join(filter(None, (base, node.module)))
            yield from ((f"{base}.{alias.name}", node in top) for alias in node.names)


def import_graph():
    """Return {place: places that it imports}, imports inside functions included."""
    places = {place(module) for module in MODULES}
    graph = {name: set() for name in places}
    for module in MODULES:
        for name, _ in imports(module):
            package, _, rest = name.partition(".")
            if package == "skhash":
                part = rest.partition(".")[0]
                found = {part, f"{part}.py"} & places or {"__init__.py"}
                graph[place(module)] |= found - {place(module)}
    return graph


def test_places_import_each_other_in_one_direction():
    TopologicalSorter(import_graph()).prepare()  # raises a CycleError that names the places


def test_a_reader_can_keep_the_places_in_mind():
    assert len(import_graph()) <= 16


def test_public_modules_are_imported_by_the_demo_alone_and_the_demo_by_nothing():
    graph = import_graph()
    assert set(PUBLIC) <= graph.pop("demo")
    assert not set.union(*graph.values()) & {"demo", *PUBLIC}


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(PACKAGE)))
def test_heavy_libraries_are_imported_only_where_they_are_used(module):
    for name, at_top in imports(module):
        library = name.partition(".")[0]
        if library in HOMES:
            at = set(module.relative_to(PACKAGE).parts)
            assert at & HOMES[library], f"{module.name} imports {name}"
            if at_top:
                assert at & AT_TOP.get(library, set()), f"{module.name} imports {name} at its top"


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(PACKAGE)))
def test_no_private_module_of_scikit_learn_is_used(module):
    for name, _ in imports(module):
        parts = name.split(".")
        if parts[0] == "sklearn":
            assert not any(part.startswith("_") for part in parts), f"{module.name} imports {name}"


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(PACKAGE)))
def test_no_file_is_too_long_to_read(module):
    assert count_code_lines(module.read_text()) <= 250


def count_code_lines(source):
    """Count lines of code: neither blank nor comment, and no part of a docstring."""
    prose = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            prose.update(range(node.lineno, node.end_lineno + 1))
    no_code = {"COMMENT", "NL", "NEWLINE", "INDENT", "DEDENT", "ENDMARKER"}
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    lines = set()
    for token in tokens:
        if tokenize.tok_name[token.type] not in no_code:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - prose)


def test_prose_is_no_code():
    source = (
        '"""A module."""\n\n# why\nx = (\n    1\n)\n\n\ndef f():\n    """Return."""\n    return x\n'
    )
    assert count_code_lines(source) == 5


def loaded_after(statement):
    code = f"{statement}\nimport sys\nprint(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_heavy():
    loaded = loaded_after("import skhash")
    assert loaded.isdisjoint({"torch", "numba", "sklearn", "scipy", "pandas", "PIL", "open_clip"})


@pytest.mark.parametrize(
    "module", ["codes", "datasets", "demo", "features", "hashing", "metrics", "retrieval"]
)
def test_modules_that_need_no_torch_do_not_load_it(module):
    loaded = loaded_after(f"import skhash.{module}")
    assert f"skhash.{module}" in loaded
    assert loaded.isdisjoint({"torch", "numba", "open_clip", "PIL", "matplotlib"})


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'hashes'"):
        skhash.hashes  # noqa: B018


def test_every_public_name_is_listed_and_loads():
    for name in skhash.__all__:
        assert name in dir(skhash)
        assert getattr(skhash, name) is not None
