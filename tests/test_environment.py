"""environment.yml, constraints.txt and constraints-torch.txt agree with pyproject.toml."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text())


def pinned(name: str) -> list[tuple[str, str, str]]:
    """Package, version and the rest of each requirement of a file."""
    text = re.sub(r"^#.*\n", "", (ROOT / name).read_text(), flags=re.M).replace("\\\n", "")
    return [
        (*line.partition(" ")[0].split("=="), line.partition(" ")[2]) for line in text.splitlines()
    ]


HASHED, TORCH = pinned("constraints.txt"), pinned("constraints-torch.txt")


def pins() -> dict[str, str]:
    """Package to exact version, as constrained."""
    return {canonicalize_name(name): version for name, version, _ in HASHED + TORCH}


def requirements() -> list[Requirement]:
    extras = [text for extra in PROJECT["optional-dependencies"].values() for text in extra]
    return [Requirement(text) for text in PROJECT["dependencies"] + extras]


def test_every_file_of_every_package_but_torch_is_known_by_its_hash() -> None:
    """Torch's builds for CPU and CUDA are different files of one version, from different indexes."""
    for name, _, hashes in HASHED:
        assert re.fullmatch(r"( *--hash=sha256:[0-9a-f]{64})+", hashes), name
    assert "torch" not in {name for name, *_ in HASHED}
    assert [(name, rest) for name, _, rest in TORCH] == [("torch", "")]


def test_no_file_of_the_environment_names_a_registry() -> None:
    for name in ("constraints.txt", "constraints-torch.txt", "environment.yml", "pyproject.toml"):
        assert "://" not in (ROOT / name).read_text(), name


def test_environment_yml_pins_what_constraints_txt_pins() -> None:
    (from_pip,) = [entry["pip"] for entry in CONDA["dependencies"] if isinstance(entry, dict)]
    assert from_pip == [f"{name}=={version}" for name, version, _ in HASHED + TORCH]


def test_installed_is_what_is_pinned() -> None:
    """Of a build of torch the version counts, not what was built into it (`+cpu`)."""
    found = {name: metadata.version(name).split("+")[0] for name in pins()}
    assert found == pins()


def test_environment_yml_holds_every_requirement_of_pyproject_in_its_range() -> None:
    (from_pip,) = [entry["pip"] for entry in CONDA["dependencies"] if isinstance(entry, dict)]
    listed = {canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in from_pip}
    for requirement in requirements():
        version = listed[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement} excludes {version}"


def test_environment_yml_asks_for_a_python_that_pyproject_allows() -> None:
    (python,) = [entry for entry in CONDA["dependencies"] if str(entry).startswith("python=")]
    assert SpecifierSet(PROJECT["requires-python"]).contains(f"{python.removeprefix('python=')}.0")


def test_every_package_that_rsm_imports_is_asked_for() -> None:
    asked = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
    providers = metadata.packages_distributions()
    for source in sorted((ROOT / "rsm").rglob("*.py")):
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                modules.append(node.module or "")
            for module in (name.partition(".")[0] for name in modules):
                if module in ("rsm", "__future__", *sys.stdlib_module_names):
                    continue
                found = {canonicalize_name(name) for name in providers.get(module, [module])}
                assert found & asked, f"{source.relative_to(ROOT)} imports {module}"


def test_every_pin_is_exact_and_carries_no_local_version() -> None:
    for name, version in pins().items():
        assert "+" not in version, (
            f"{name} {version}: a local version cannot be installed elsewhere"
        )
        assert "*" not in version
