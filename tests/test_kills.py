"""The campaign of benchmarks/kills.py, in small."""

import subprocess
import sys

import pytest

from conftest import ROOT
from test_workflow import environment


@pytest.mark.slow
def test_fifty_kills_signals_and_full_disks_change_no_number():
    words = [sys.executable, str(ROOT / "benchmarks/kills.py"), "--kills", "50"]
    done = subprocess.run(words, capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stdout + done.stderr
    assert "differ from the undisturbed one: 0." in done.stdout
