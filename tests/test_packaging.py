"""What goes to others beside the code: locks, the conda recipe, the citation, the changelog, files of the host."""

import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import plmscale
from conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
LOCKS = {"core": [], "train": ["train"], "workflow": ["workflow"], "publish": ["publish"]}
LOCKS |= {"all": ["train", "workflow", "publish"], "develop": [name for name in EXTRAS if name != "all"]}
CONDA_NAMES = {"matplotlib": "matplotlib-base"}


def locked(name: str) -> dict[str, tuple[str, int]]:
    """Version and number of hashes of every package of a lock."""
    text = (ROOT / f"locks/{name}.txt").read_text()
    found = re.findall(r"^([\w.-]+)==(\S+)[^\n]*\\\n((?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n?)+)", text, re.M)
    assert len(found) == len(re.findall(r"^[^#\s]", text, re.M)), "a line that is no pin with hashes"
    return {canonicalize_name(package): (version, hashes.count("--hash")) for package, version, hashes in found}


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_every_dependency_at_a_version_that_is_allowed(name):
    lock = locked(name)
    wanted = [*PROJECT["dependencies"], *(one for extra in LOCKS[name] for one in EXTRAS[extra])]
    assert len(wanted) > 8
    for one in map(Requirement, wanted):
        version, n_hashes = lock[canonicalize_name(one.name)]
        assert one.specifier.contains(version) and n_hashes >= 1, one


def test_locks_agree():
    """One version of a package, whichever lock it is installed from."""
    everything = locked("develop")
    for name in LOCKS:
        assert locked(name).items() <= everything.items(), name


def test_the_recipe_has_the_version_and_the_core_of_pyproject():
    recipe = yaml.safe_load((ROOT / "recipe/recipe.yaml").read_text())
    assert recipe["context"]["version"] == plmscale.__version__
    core = [Requirement(one) for one in PROJECT["dependencies"]]
    wanted = {f"{CONDA_NAMES.get(one.name, one.name)} {one.specifier}" for one in core}
    assert set(recipe["requirements"]["run"]) == wanted | {f"python {PROJECT['requires-python']}"}
    assert recipe["about"]["license"] == PROJECT["license"]


def test_changelog_and_citation_have_the_version_and_one_date():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    released = re.findall(r"^## \[(.+)\] - (\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert released[0] == (plmscale.__version__, citation["date-released"].isoformat())
    assert citation["version"] == plmscale.__version__
    assert [date for _, date in released] == sorted((date for _, date in released), reverse=True)


def check(*words: str) -> None:
    done = subprocess.run([sys.executable, "-m", "check_jsonschema", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_citation_is_of_its_format():
    check("--builtin-schema", "vendor.citation-file-format", str(ROOT / "CITATION.cff"))


@pytest.mark.parametrize(
    ("schema", "pattern"),
    [
        ("vendor.github-workflows", ".github/workflows/*.yml"),
        ("vendor.github-issue-forms", ".github/ISSUE_TEMPLATE/[!c]*.yml"),
        ("vendor.github-issue-config", ".github/ISSUE_TEMPLATE/config.yml"),
    ],
)
def test_files_of_the_host_are_of_their_format(schema, pattern):
    found = sorted(map(str, ROOT.glob(pattern)))
    assert found
    check("--builtin-schema", schema, *found)


def test_workflows_run_only_targets_of_make():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    ran = []
    for path in ROOT.glob(".github/workflows/*.yml"):
        for job in yaml.safe_load(path.read_text())["jobs"].values():
            ran += [step["run"].split() for step in job["steps"] if "run" in step]
    assert len(ran) >= 7
    for program, *words in ran:
        assert program == "make" and {word for word in words if "=" not in word} <= targets, words


def test_hooks_are_tools_of_the_environment():
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local"
    programs = {hook["entry"].split()[0] for hook in repository["hooks"]}
    assert programs <= set(re.findall(r"[\w-]+", (ROOT / "Makefile").read_text()))
    assert all(hook["language"] == "system" for hook in repository["hooks"])


def test_container_and_definition_install_the_same():
    """Of the lock, the same tool, and the same Debian."""
    dockerfile, definition = ((ROOT / f"container/{name}").read_text() for name in ("Dockerfile", "plmscale.def"))
    for pattern in (r"(?:BASE=|From: )(\S+)", r"\bUV=(\S+)", r"--constraints (\S+) '(\S+)'"):
        assert re.findall(pattern, dockerfile)[0] == re.findall(pattern, definition)[0]
