"""Each module imports only from its own layer or the ones below it. The table is the architecture.

Every import counts, also those inside functions. Those under `TYPE_CHECKING` never run, but they
are the same dependency to a reader, so they are held to the table too; the few exceptions are
listed with their reason.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typing_extensions import override

import tunekit

ROOT = Path(tunekit.__file__).parent

VALUES, CONTRACT, ENGINE, HANDLES, BUILT_ON = range(5)
PROVIDER, FRONT, KIT = "a provider", "the front", "the test kit"

PLACES: dict[str, int | str] = {
    # value objects: no provider, no network, no clock
    "_text": VALUES,
    "_version": VALUES,
    "capabilities": VALUES,
    "config": VALUES,
    "data": VALUES,
    "errors": VALUES,
    "problems": VALUES,
    "spec": VALUES,
    # the contract
    "providers": CONTRACT,
    "providers.base": CONTRACT,
    "providers.registry": CONTRACT,
    "providers.snapshots": CONTRACT,
    # policy
    "engine": ENGINE,
    "ledger": ENGINE,
    # what users hold
    "aio": HANDLES,
    "client": HANDLES,
    "deployments": HANDLES,
    "inference": HANDLES,
    "jobs": HANDLES,
    "models": HANDLES,
    # what is built on the handles
    "__main__": BUILT_ON,
    "cli": BUILT_ON,
    "costs": BUILT_ON,
    "evaluate": BUILT_ON,
    "quickstart": BUILT_ON,
    "server": BUILT_ON,
    "serving": BUILT_ON,
    # the only places where an SDK is imported
    "providers.autotrain": PROVIDER,
    "providers.azure": PROVIDER,
    "providers.local": PROVIDER,
    "providers.openai": PROVIDER,
    "providers.openai_wire": PROVIDER,
    "providers.trl": PROVIDER,
    # all public names, lazily
    "": FRONT,
    "testing": KIT,
}

SHARED: dict[str, set[str]] = {
    "providers.openai": {"providers.openai_wire"},
    "providers.azure": {"providers.openai_wire"},
    "providers.trl": {"providers.local"},
    "providers.autotrain": {"providers.local"},
}
"""What a provider may import of another folder of providers."""

CONTRACT_FOR_PROVIDERS = {"providers", "providers.base", "providers.snapshots"}

NEVER_RUN = {
    # Errors carry the snapshot that they are about; only its type is named.
    ("errors", "providers.base"),
}

SDKS: dict[str, tuple[str, ...]] = {
    "torch": ("providers.trl.worker", "providers.local.server"),
    "transformers": ("providers.trl", "providers.local"),
    "trl": ("providers.trl",),
    "peft": ("providers.trl", "providers.local"),
    "accelerate": ("providers.trl",),
    "bitsandbytes": ("providers.trl",),
    "safetensors": ("providers.trl", "providers.local", "providers.autotrain"),
    "datasets": ("providers.trl", "data.sources", "data.formats.huggingface"),
    "huggingface_hub": ("providers.trl", "providers.autotrain", "data.sources", "serving"),
    "azure": ("providers.azure",),
    "openai": (
        "providers.openai",
        "providers.azure",
        "providers.openai_wire",
        "inference",
    ),
    "autotrain": ("providers.autotrain",),
}
"""Where each SDK may be imported; a name stands for itself and what begins with it."""

TYPES_ONLY = {("deployments", "openai"), ("aio.deployments", "openai")}
"""Handles whose signatures name a type of an SDK, under `TYPE_CHECKING` only."""


@dataclass(frozen=True)
class Import:
    """One import: which module makes it, what of, where, and whether it ever runs."""

    module: str
    target: str
    line: int
    runs: bool

    @override
    def __str__(self) -> str:
        return f"{self.module or 'tunekit'}:{self.line} imports {self.target}"


def modules() -> dict[str, Path]:
    """Every module under `tunekit` by its name without that prefix."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        found[".".join(parts)] = path
    return found


MODULES = modules()


def statements_of(node: ast.AST, runs: bool = True) -> Iterator[tuple[ast.AST, bool]]:
    """Every import statement under a node, and whether it ever runs."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield node, runs
    elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        for statement in node.body:
            yield from statements_of(statement, False)
        for statement in node.orelse:
            yield from statements_of(statement, runs)
    else:
        for child in ast.iter_child_nodes(node):
            yield from statements_of(child, runs)


def base_of(node: ast.ImportFrom, package: str) -> str:
    """What a `from` import names, with the dots of a relative one spelt out."""
    if not node.level:
        return node.module or ""
    kept = ["tunekit", *filter(None, package.split("."))]
    kept = kept[: len(kept) - node.level + 1]
    return ".".join([*kept, *filter(None, [node.module])])


def imports_of(module: str, path: Path) -> Iterator[Import]:
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node, runs in statements_of(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, alias.name, node.lineno, runs)
        elif isinstance(node, ast.ImportFrom):
            base = base_of(node, package)
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                is_module = whole.removeprefix("tunekit.") in MODULES
                yield Import(module, whole if is_module else base, node.lineno, runs)


IMPORTS = [found for module, path in MODULES.items() for found in imports_of(module, path)]
OURS = [
    (found, found.target.removeprefix("tunekit").removeprefix("."))
    for found in IMPORTS
    if found.target.split(".")[0] == "tunekit"
]


def home_of(module: str) -> str | None:
    """The table's entry for a module; `providers` and the front place only themselves."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        if name in PLACES and (name == module or name not in ("", "providers")):
            return name
    return "" if module == "" else None


def place_of(module: str) -> int | str:
    home = home_of(module)
    assert home is not None, f"{module} is not in the table"
    return PLACES[home]


def fault_of(module: str, target: str, runs: bool) -> str | None:
    """Why this import breaks the layers, if it does."""
    mine, theirs = place_of(module), place_of(target)
    my_home, their_home = home_of(module), home_of(target)
    if my_home == their_home:
        return None
    if theirs == KIT:
        return "the test kit is for tests"
    if mine == KIT or (not runs and (module, target) in NEVER_RUN):
        return None
    if mine == FRONT:
        return None if not runs or target == "_version" else "the front loads names lazily"
    if theirs == FRONT:
        return None if mine in (HANDLES, BUILT_ON) else "the front is above"
    if mine == PROVIDER:
        if theirs == VALUES or target in CONTRACT_FOR_PROVIDERS:
            return None
        if their_home in SHARED.get(str(my_home), ()):
            return None
        return "a provider knows the contract and value objects only"
    if theirs == PROVIDER:
        return "providers are found by their entry point"
    assert isinstance(mine, int)
    assert isinstance(theirs, int)
    return None if theirs <= mine else "it is a layer above"


def test_every_module_has_a_place_in_the_table() -> None:
    homeless = [module for module in MODULES if home_of(module) is None]
    assert not homeless, "put them into PLACES"


def test_every_module_imports_only_from_its_layer_or_those_below() -> None:
    faults = [
        f"{found}: {fault}"
        for found, target in OURS
        if (fault := fault_of(found.module, target, found.runs))
    ]
    assert not faults, "\n".join(faults)


def may_import(module: str, sdk: str) -> bool:
    return any(
        module == place or module.startswith((f"{place}.", f"{place}_")) for place in SDKS[sdk]
    )


def test_an_sdk_is_imported_only_where_it_belongs() -> None:
    faults = [
        str(found)
        for found in IMPORTS
        if (sdk := found.target.split(".")[0]) in SDKS
        and not may_import(found.module, sdk)
        and not (not found.runs and (found.module, sdk) in TYPES_ONLY)
    ]
    assert not faults, "\n".join(faults)


def test_data_and_inference_import_their_sdk_inside_functions_only() -> None:
    lazy = {"data.sources", "data.formats.huggingface", "inference"}
    for module in lazy:
        tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
        top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        names = {ast.unparse(node).split()[1].split(".")[0] for node in top}
        assert not names & set(SDKS), module


DEPENDENCIES = {
    "anyio",
    "filelock",
    "httpx2",
    "jsonschema",
    "msgspec",
    "numpy",
    "openai",
    "platformdirs",
    "pydantic",
    "rich",
    "tiktoken",
    "xxhash",
}
COMES_WITH_THEM = {
    "annotated_types",
    "click",
    "jsonschema_specifications",
    "pydantic_core",
    "referencing",
    "typer",
    "typing_extensions",
}
EXTRAS = {"fastapi", "hypothesis", "matplotlib", "psutil", "pyarrow", "pytest", "uvicorn"}
COMES_WITH_EXTRAS = {"jinja2"}  # with transformers


def test_nothing_is_imported_that_is_not_declared() -> None:
    ours = DEPENDENCIES | COMES_WITH_THEM | EXTRAS | COMES_WITH_EXTRAS
    known = {"tunekit", *sys.stdlib_module_names, *ours, *SDKS}
    strangers = [str(found) for found in IMPORTS if found.target.split(".")[0] not in known]
    assert not strangers


@pytest.mark.parametrize(
    ("module", "target", "allowed"),
    [
        ("spec", "providers.base", False),
        ("providers.base", "spec", True),
        ("providers.base", "engine.waiting", False),
        ("engine.session", "ledger", True),
        ("ledger", "client", False),
        ("client", "engine.session", True),
        ("client", "cli.app", False),
        ("cli.app", "client", True),
        ("client", "providers.trl", False),
        ("providers.trl.worker", "providers.local.rundir", True),
        ("providers.trl.worker", "providers.registry", False),
        ("providers.trl.worker", "engine.plans", False),
        ("providers.trl", "providers.autotrain", False),
        ("providers.openai", "providers.local", False),
        ("cli.app", "testing", False),
        ("testing.fake", "engine.plans", True),
        ("spec", "", False),
    ],
)
def test_the_rules_say_what_they_should(module: str, target: str, allowed: bool) -> None:
    assert (fault_of(module, target, runs=True) is None) is allowed


def test_a_new_module_must_be_placed() -> None:
    assert home_of("providers.newcomer") is None
    assert home_of("newcomer") is None
    assert home_of("engine.newcomer") == "engine"


def test_imports_inside_functions_and_relative_ones_are_seen(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text(
        "from typing import TYPE_CHECKING\n"
        "from . import problems\n"
        "if TYPE_CHECKING:\n    import torch\n"
        "def f():\n    from tunekit.engine import waiting\n"
    )
    found = {(one.target, one.runs) for one in imports_of("x", path)}
    assert found == {
        ("typing", True),
        ("tunekit.problems", True),
        ("torch", False),
        ("tunekit.engine.waiting", True),
    }
