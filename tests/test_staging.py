"""Copies of store and sets on a node: shared, compared, removed by the last, and never read half."""

import json
import os
import signal
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

from conftest import ROOT
from plmscale.sets import staging
from plmscale.sets.staging import STORE, staged
from plmscale.training.cell_data import CellData

N_SEQUENCES, LENGTH = 50, 40


@pytest.fixture
def files(tmp_path) -> Namespace:
    """A store and two sets, as training is told of them."""
    folder, rng = tmp_path / "shared/store", np.random.default_rng(0)
    folder.mkdir(parents=True)
    np.save(folder / "tokens.npy", rng.integers(4, 24, N_SEQUENCES * LENGTH).astype(np.uint8))
    np.save(folder / "offsets.npy", np.arange(N_SEQUENCES + 1) * LENGTH)
    np.save(folder / "keys.npy", np.arange(N_SEQUENCES, dtype=np.uint64))
    (folder / "ids.txt").write_text("".join(f"p{i}\n" for i in range(N_SEQUENCES)))
    stats = {"format_version": 2, "n_residues": N_SEQUENCES * LENGTH, "n_sequences": N_SEQUENCES}
    (folder / "stats.json").write_text(json.dumps(stats))
    subset, holdout = folder.parent / "half.npy", folder.parent / "holdout.npy"
    np.save(subset, np.arange(0, N_SEQUENCES, 2))
    np.save(holdout, np.arange(1, N_SEQUENCES, 10))
    for path in [*folder.iterdir(), subset, holdout]:
        os.utime(path, ns=(10**18 + 123, 10**18 + 123))
    return Namespace(store=folder, subset=subset, holdout=holdout, staging=str(node_disk(tmp_path)))


def node_disk(tmp_path: Path) -> Path:
    disk = tmp_path / "node"
    disk.mkdir(exist_ok=True)
    return disk


def left(files: Namespace) -> list[str]:
    """What lies in the folder of copies."""
    return sorted(path.name for path in Path(files.staging).glob("*/*"))


READER = """
import sys
from pathlib import Path
from plmscale.sets import staging
copied = staging._copied
def half(source, target):
    copied(source, target)
    if "half" in sys.argv[4:]:
        target.write_bytes(target.read_bytes()[:100])
        print("half", flush=True)
        sys.stdin.readline()
staging._copied = half
with staging.staged(Path(sys.argv[1]), [Path(sys.argv[2])], below=sys.argv[3]) as (store, sets):
    tokens = store / "tokens.npy"
    print(store, tokens.stat().st_ino, len(tokens.read_bytes()), flush=True)
    sys.stdin.readline()
"""


def reader(files: Namespace, *words: str) -> subprocess.Popen:
    """A process that stages, says what it reads, and ends when it is told to."""
    command = [sys.executable, "-c", READER, str(files.store), str(files.subset), files.staging, *words]
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=env)


def said(process: subprocess.Popen) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def told(process: subprocess.Popen) -> int:
    process.communicate("\n", timeout=60)
    return process.returncode


def test_copies_are_the_files_and_go_when_the_block_ends(files):
    with staged(files.store, [files.subset, files.holdout], below=files.staging) as (store, sets):
        assert store.is_relative_to(files.staging) and all(path.is_relative_to(files.staging) for path in sets)
        for copy, original in [
            *((store / n, files.store / n) for n in STORE),
            *zip(sets, [files.subset, files.holdout], strict=True),
        ]:
            assert copy.read_bytes() == original.read_bytes() and not copy.is_symlink()
            assert copy.stat().st_mtime_ns == original.stat().st_mtime_ns
        assert (store / "ids.txt").resolve() == files.store / "ids.txt"
        assert store.parent.stat().st_mode & 0o777 == 0o700
    assert left(files) == []


def test_a_cell_is_the_same_on_copies(files):
    """Seals of data, in checkpoints and results, are of the content; so a cell goes on wherever it is read from."""
    shared = CellData.of(files)
    with CellData.on_this_node(files) as data:
        assert data.store.folder.is_relative_to(files.staging)
        assert (data.seal, data.written) == (shared.seal, shared.written)
        np.testing.assert_array_equal(data.store.tokens, shared.store.tokens)
        data.check()


def test_two_processes_share_a_copy_and_the_last_removes_it(files):
    one, other = reader(files), reader(files)
    words = [said(one), said(other)]
    assert words[0] == words[1] and words[0].startswith(files.staging)
    assert told(one) == 0
    assert Path(words[0].split()[0]).is_dir()
    assert told(other) == 0
    assert left(files) == []


def test_a_killed_copy_is_never_read(files):
    killed = reader(files, "half")
    assert said(killed) == "half"
    waiting = reader(files)  # for the lock of the copy under way
    assert any(".partial-" in name for name in left(files))
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert said(waiting).split()[2] == str((files.store / "tokens.npy").stat().st_size)
    assert not any(".partial-" in name for name in left(files))
    assert told(waiting) == 0
    assert left(files) == []


def test_what_killed_jobs_leave_is_removed_by_the_next(files, tmp_path):
    killed = reader(files)
    folder = Path(said(killed).split()[0])
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert folder.is_dir()
    other = tmp_path / "other.npy"
    np.save(other, np.arange(3))
    np.save(files.store / "offsets.npy", np.arange(N_SEQUENCES + 1) * LENGTH)  # written anew: another store
    with staged(files.store, [other], below=files.staging) as (store, _):
        assert store != folder and not folder.exists()
    assert left(files) == []


def read_where_they_are(files: Namespace, caplog, why: str) -> None:
    caplog.clear()
    with staged(files.store, [files.subset], below=files.staging) as found:
        assert found == (files.store, [files.subset])
    (line,) = caplog.messages
    assert line.startswith("not staged: ") and why in line and line.endswith("Store and sets are read where they are.")


def test_without_room_files_are_read_where_they_are(files, caplog, monkeypatch):
    monkeypatch.setattr(staging.shutil, "disk_usage", lambda _: Namespace(free=1000))
    read_where_they_are(files, caplog, f"are needed in {files.staging}, 1e-06 GB are free")
    assert left(files) == []


def test_a_disk_that_errs_is_not_read(files, caplog, monkeypatch):
    monkeypatch.setattr(staging.os, "fsync", lambda fd: os.pwrite(fd, b"\xff", 200))
    read_where_they_are(files, caplog, "has another checksum")
    assert left(files) == []


def test_a_disk_that_is_full_while_it_is_copied_to(files, caplog, monkeypatch):
    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(staging.os, "fsync", full)
    read_where_they_are(files, caplog, "No space left on device")
    assert left(files) == []


@pytest.mark.parametrize(
    ("below", "why"),
    [
        ("scratch", "'scratch', which is no absolute path"),
        ("$NOT_SET_HERE/x", "'$NOT_SET_HERE/x', which is no absolute path"),
        ("/there/is/none", "there is no folder /there/is/none on this node"),
    ],
)
def test_folders_that_are_none(files, caplog, below, why):
    files.staging = below
    read_where_they_are(files, caplog, why)


def test_the_folder_may_be_a_variable_of_the_job(files, monkeypatch):
    monkeypatch.setenv("JOB_DISK", files.staging)
    with staged(files.store, [files.subset], below="$JOB_DISK") as (store, _):
        assert store.is_relative_to(files.staging)


def test_a_folder_that_others_may_write_to_is_not_used(files, caplog):
    area = Path(files.staging) / f"plmscale-{os.geteuid()}-staged"
    area.mkdir()
    area.chmod(0o777)
    read_where_they_are(files, caplog, "others may write to it (mode 777)")
    assert left(files) == []


def test_without_the_setting_nothing_is_made(files):
    with staged(files.store, [files.subset], below="") as found:
        assert found == (files.store, [files.subset])
    assert not list(Path(files.staging).iterdir())
