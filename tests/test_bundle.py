"""A bundle: it takes the files of the lock and no other, and installs without a network."""

import base64
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

import plmscale
from conftest import ROOT
from plmscale.bundle import bundle as module
from plmscale.bundle.bundle import bundle, lock_of
from plmscale.errors import InputError


def make_wheel(folder: Path, name: str, version: str, needs: str = "") -> Path:
    """A wheel of one module, which knows its version."""
    about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}"
    tag = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    info = f"{name}-{version}.dist-info"
    texts = {f"{name}.py": f"version = {version!r}\n", f"{info}/METADATA": about, f"{info}/WHEEL": tag}
    digest = {
        n: base64.urlsafe_b64encode(hashlib.sha256(t.encode()).digest()).rstrip(b"=").decode() for n, t in texts.items()
    }
    texts[f"{info}/RECORD"] = (
        "".join(f"{n},sha256={digest[n]},{len(t)}\n" for n, t in texts.items()) + f"{info}/RECORD,,\n"
    )
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with ZipFile(path, "w") as archive:
        for inside, text in texts.items():
            archive.writestr(inside, text)
    return path


@pytest.fixture
def index(tmp_path, monkeypatch) -> Path:
    """A folder of wheels, and a lock that names the one that `plmscale` needs."""
    folder = tmp_path / "index"
    folder.mkdir()
    needed = make_wheel(folder, "needed", "1.0")
    make_wheel(folder, "needed", "2.0")
    digest = hashlib.sha256(needed.read_bytes()).hexdigest()
    (tmp_path / "root/locks").mkdir(parents=True)
    (tmp_path / "root/locks/core.txt").write_text(f"# lock\nneeded==1.0 \\\n    --hash=sha256:{digest}\n")
    monkeypatch.setattr(module, "workflow_root", lambda: tmp_path / "root")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return folder


def offline(index: Path) -> list[str]:
    return ["--no-index", "--find-links", str(index)]


def test_a_bundle_installs_without_a_network(index, tmp_path):
    own = make_wheel(tmp_path, "plmscale", plmscale.__version__, "Requires-Dist: needed\n")
    image = tmp_path / "plmscale.sif"
    image.write_bytes(b"image")
    bundle(tmp_path / "out", extra="core", wheel=own, container=image, pip=offline(index))
    names = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))
    wheels = ["wheels/needed-1.0-py3-none-any.whl", f"wheels/{own.name}"]
    assert names == ["install.sh", "lock.txt", "plmscale.sif", *wheels]
    environment = os.environ | {"PYTHON": sys.executable, "PIP_TARGET": str(tmp_path / "target")}
    subprocess.run(["sh", str(tmp_path / "out/install.sh")], check=True, capture_output=True, env=environment)
    assert (tmp_path / "target/needed.py").read_text() == "version = '1.0'\n"
    assert (tmp_path / "target/plmscale.py").is_file()
    (tmp_path / "out/lock.txt").write_text("changed")
    done = subprocess.run(["sh", str(tmp_path / "out/install.sh")], capture_output=True, text=True, env=environment)
    assert done.returncode != 0
    page = (ROOT / "docs/howto/offline.md").read_text()
    assert f"```text\n{done.stdout}```\n" in page
    described = {name.rstrip("/") for name in re.findall(r"^\| `(.+?)` \|", page, re.M)}
    assert described == {path.name for path in (tmp_path / "out").iterdir()} - {image.name}


def test_a_file_that_is_not_the_one_of_the_lock_is_refused(index, tmp_path):
    with (index / "needed-1.0-py3-none-any.whl").open("ab") as file:
        file.write(b"more")
    with pytest.raises(InputError, match="could not get the wheels.*"):
        bundle(tmp_path / "out", extra="core", pip=offline(index))
    assert not (tmp_path / "out").exists()


def test_without_cuda_the_lock_has_all_but_its_libraries():
    whole, without = (
        {line.partition("==")[0] for line in lock_of("all", cpu=cpu).splitlines() if "==" in line}
        for cpu in (False, True)
    )
    assert {"torch", "deepspeed", "snakemake", "numpy"} <= without
    left_out = whole - without
    assert "nvidia-cublas" in left_out and "triton" in left_out
    assert all(name.startswith(("nvidia-", "cuda-", "triton")) for name in left_out)


@pytest.mark.parametrize("option", ["wheel", "container"])
def test_a_file_that_is_missing_is_one_sentence(option, tmp_path):
    with pytest.raises(InputError, match=f"--{option}: .*absent does not exist"):
        bundle(tmp_path / "out", extra="core", **{option: tmp_path / "absent"})
