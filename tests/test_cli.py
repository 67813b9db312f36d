"""The command `plmscale`: one door, quick help, and one sentence for whatever a person does wrong."""

import errno
import os
import re
import resource
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from conftest import ROOT
from plmscale.cli import commands, snakemake_process
from plmscale.cli import main as cli
from plmscale.cli.commands import COMMANDS, module_of
from plmscale.cli.main import filled, guarded, main, parser_of
from plmscale.cli.snakemake_process import LOCK, command_line, folder_lock
from plmscale.errors import InputError
from plmscale.runs.fields import FORMATS
from plmscale.runs.importers import IMPORTERS
from plmscale.study.catalog import ENGINE_NAMES, FITS
from plmscale.study.configuration import read_configuration

HEAVY = ["torch", "deepspeed", "snakemake", "scipy", "pandas", "matplotlib", "numba", "pyarrow", "plotly"]
HELPERS = {"__init__", "commands", "fork_client", "fork_server", "loaded_before", "main", "run_sources"}
HELPERS |= {"snakemake_process", "workflow_options"}


def plmscale(*words: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "plmscale", *words], capture_output=True, text=True, **options)


@pytest.mark.parametrize("words", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)], ids=" ".join)
def test_help_imports_no_heavy_library_and_takes_at_most_half_a_second_of_processor_time(words):
    code = f"import sys; from plmscale.cli.main import main\ntry: main({words!r})\nexcept SystemExit: pass\n"
    code += f"print('heavy:', *[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert done.stderr.splitlines()[-1] == "heavy:"
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime <= 0.5


def test_the_overview_names_every_subcommand_once_under_what_a_person_wants(capsys):
    assert main([]) == 0
    text = capsys.readouterr().out
    for name, command in COMMANDS.items():
        assert re.findall(rf"^  {re.escape(name)} +{re.escape(command.summary)}$", text, re.M), name
        assert f"\n{command.group}:\n" in text


def test_every_module_of_the_room_is_a_subcommand_or_a_helper():
    room = Path(commands.__file__).parent
    modules = {path.stem for path in (*room.glob("*.py"), *room.glob("in_jobs/*.py"), *room.glob("share/*.py"))}
    assert modules - HELPERS == {name.replace("-", "_") for name in COMMANDS}
    for name in COMMANDS:
        assert module_of(name).DESCRIPTION and callable(module_of(name).run)


def test_names_that_command_lines_know_are_those_of_the_rooms():
    from plmscale.laws.methods import FITS as laws
    from plmscale.training.engine import ENGINES

    assert list(FORMATS) == list(IMPORTERS)
    assert set(ENGINE_NAMES) == set(ENGINES)
    assert set(FITS) == set(laws)


def test_the_console_script_and_the_module_are_one_command():
    script = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["plmscale"]
    assert script == "plmscale.cli.main:main"
    (installed,) = [one for one in entry_points(group="console_scripts") if one.name == "plmscale"]
    assert installed.value == script
    done = plmscale("--version")
    assert re.fullmatch(r"plmscale \d+\.\d+\.\d+\S*\n", done.stdout)


def test_an_unknown_subcommand_names_the_nearest():
    done = plmscale("advize")
    assert done.returncode == 2
    assert done.stderr.startswith("error: there is no subcommand 'advize'. Did you mean `plmscale advise`?")


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_knows_every_subcommand(shell, capsys):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(name in script for name in COMMANDS)
    assert "--budget-gpu-hours" in script
    if shell == "bash":
        assert subprocess.run(["bash", "-n"], input=script, text=True).returncode == 0


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (InputError("x.csv: no column loss."), r"error: x\.csv: no column loss\."),
        (OSError(errno.EROFS, "Read-only file system", "/a/b"), r"error: /a/b: Read-only file system\. The trace"),
        (MemoryError(), r"error: this machine has not enough memory"),
        (KeyError("k"), r"error: a fault of plmscale: KeyError: 'k'\. The traceback is in "),
    ],
)
def test_whatever_is_raised_ends_in_one_sentence(error, says):
    def call() -> None:
        raise error

    with pytest.raises(SystemExit, match=says) as stop:
        guarded(call)
    kept = re.search(r"traceback is in (\S+)\.$", str(stop.value.code))
    assert bool(kept) == ("traceback" in str(stop.value.code))
    if kept:
        text = Path(kept[1]).read_text()
        assert "Traceback (most recent call last)" in text and type(error).__name__ in text
        Path(kept[1]).unlink()


def test_in_a_job_a_fault_of_ours_goes_to_the_jobs_log_whole():
    def call() -> None:
        raise KeyError("k")

    with pytest.raises(KeyError):
        guarded(call, in_job=True)


@pytest.mark.parametrize("command", ["fit", "compare", "advise", "published"])
def test_out_on_a_file_is_said_before_any_work(command, tmp_path):
    (tmp_path / "file").write_text("")
    words = [command, *(["--fits"] if command == "published" else []), str(tmp_path / "absent"), "--out"]
    words += [str(tmp_path / "file"), *(["--budget-gpu-hours", "1"] if command == "advise" else [])]
    with pytest.raises(SystemExit, match=r"error: cannot write to .*: .*file is a file.*--out"):
        main(words)


@pytest.mark.parametrize(("words", "closes"), [([], True), (["all"], True), (["-n"], False), (["tables"], False)])
def test_a_whole_study_ends_with_its_numbers_and_where_everything_is(words, closes, tmp_path, monkeypatch, capsys):
    (tmp_path / "small/results").mkdir(parents=True)
    (tmp_path / "small/results/summary.txt").write_text("the numbers\n")
    monkeypatch.setattr(snakemake_process, "run_workflow", lambda args, targets: (0, targets))
    monkeypatch.chdir(tmp_path)
    assert main(["run", *words, "--directory", "small"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("the numbers") == closes
    assert ("report   small/results/report.html" in said) == closes


def run_words(*words: str, root: Path = ROOT) -> list[str]:
    """The command line of Snakemake for `plmscale run words`."""
    own, passed = (words[: words.index("--")], words[words.index("--") + 1 :]) if "--" in words else (words, ())
    args = parser_of("run").parse_args(own)
    args.passed_on = list(passed)
    settings = [word for word in args.config if "=" in word]
    targets = [*args.targets, *(word for word in args.config if "=" not in word)]
    return command_line(args, targets, settings=settings, files=args.configfile, root=root)[3:]


def test_targets_come_first_whatever_order_they_were_typed_in():
    for words in (
        ["--configfile", "my.yaml", "plan"],
        ["plan", "--configfile", "my.yaml"],
        ["--configfile", "my.yaml", "--config", "a=1", "plan"],
    ):
        found = run_words(*words)
        assert found[0] == "plan"
        assert found[found.index("--configfile") + 1] == str(Path("my.yaml").absolute())
        assert found[-2:] == ["--quiet", "all"]


def test_a_dry_run_counts_jobs_and_lists_them_if_it_is_asked_to():
    assert run_words("-n")[-6:] == ["--quiet", "rules", "progress", "--logger", "plmscale", "--dry-run"]
    assert run_words("-n", "--verbose")[-1] == "--dry-run"
    assert "--quiet" not in run_words("-n", "--verbose")


def test_what_stands_behind_two_dashes_goes_to_snakemake_as_it_is():
    assert run_words("all", "--verbose", "--", "--forcerun", "tables", "--keep-going")[-3:] == [
        "--forcerun",
        "tables",
        "--keep-going",
    ]


def test_a_profile_of_the_workflow_is_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = run_words("--profile", "profiles/slurm")
    assert found[found.index("--profile") + 1] == str(ROOT / "profiles/slurm")
    (tmp_path / "profiles/slurm").mkdir(parents=True)
    found = run_words("--profile", "profiles/slurm")
    assert found[found.index("--profile") + 1] == "profiles/slurm", "a person's own comes first"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, r"my\.yaml does not exist"),
        ("a: [", r"my\.yaml, line 1, column \d+: no valid YAML"),
        ("- 1\n", r"holds list, no settings"),
        ("sourc: x\n", r"sourc: no such setting"),
    ],
)
@pytest.mark.parametrize("command", ["run", "plan", "calibrate"])
def test_a_configuration_that_cannot_be_used_is_one_sentence(command, text, says, tmp_path):
    if text is not None:
        (tmp_path / "my.yaml").write_text(text)
    words = ["--configfile", str(tmp_path / "my.yaml"), "--directory", str(tmp_path / "study")]
    with pytest.raises(SystemExit, match=says) as stop:
        main([command, *words])
    assert str(stop.value.code).startswith("error: ")


def test_settings_are_laid_over_files_key_by_key(tmp_path):
    (tmp_path / "a.yaml").write_text("hardware: {name: H100, devices_per_node: 8}\nseeds: [0, 1]\n")
    (tmp_path / "b.yaml").write_text("hardware: {devices_per_node: 4}\n")
    found = read_configuration([tmp_path / "a.yaml", tmp_path / "b.yaml"], ["data_seed=7"], root=ROOT)
    assert (found["hardware"]["name"], found["hardware"]["devices_per_node"]) == ("H100", 4)
    assert found["data_seed"] == 7
    with pytest.raises(InputError, match="'plan' is not a setting"):
        read_configuration([], ["plan"], root=ROOT)


def test_a_study_that_runs_is_not_started_again_and_a_killed_one_goes_on(tmp_path):
    locks = tmp_path / ".snakemake/locks"
    with folder_lock(tmp_path):
        with pytest.raises(InputError, match="a study runs in .* already"), folder_lock(tmp_path):
            pass
        kept = (tmp_path / ".snakemake" / LOCK).read_text()
    assert (tmp_path / ".snakemake" / LOCK).read_text() == ""
    locks.mkdir()
    (locks / "0.input.lock").write_text("")
    with pytest.raises(InputError, match="add --unlock"), folder_lock(tmp_path):
        pass
    assert any(locks.iterdir()), "nothing says that its holder is gone"
    (tmp_path / ".snakemake" / LOCK).write_text(kept)  # what a killed one leaves
    with folder_lock(tmp_path):
        assert not any(locks.iterdir())


@pytest.mark.slow
def test_run_works_from_any_folder_and_says_why_nothing_ran(tmp_path):
    where = ["--directory", str(tmp_path / "study")]
    done = plmscale("run", "-n", "plan", *where, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^plan +1$", done.stdout, re.M)
    assert not re.search(r"^ *output: ", done.stdout, re.M), "jobs are counted, and not listed"
    done = plmscale("run", "nosuch", *where, cwd=tmp_path)
    assert done.returncode == 1
    assert "No rule to produce nosuch" in done.stderr
    done = plmscale("run", "plan", *where, cwd=tmp_path, env=os.environ | {"PATH": "/usr/bin:/bin"})
    assert done.returncode == 0, done.stderr
    by_rule = (tmp_path / "study/results/plan/plan.md").read_text()
    done = plmscale("plan", *where, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "study/results/plan/plan.md").read_text() == by_rule
    lines = done.stdout.splitlines()
    assert len(lines) <= 25
    assert done.stdout.rstrip().split("\n\n")[-1].startswith("56 cells"), "the headline is last"


def test_every_option_has_a_help_text():
    for name in COMMANDS:
        parser = filled(cli.argparse.ArgumentParser(), name)
        assert not [action.dest for action in parser._actions if not action.help], name
