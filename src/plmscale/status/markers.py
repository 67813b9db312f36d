"""What Snakemake notes of jobs that it has not seen end.

Where it was killed, the outputs of jobs that ended meanwhile count as incomplete, and it would delete them and run the
jobs again. The outputs of training are written whole or not at all, `run.json` last: where that is, they are complete.
"""

from base64 import urlsafe_b64encode
from collections.abc import Iterable
from pathlib import Path

LONGEST = 254
"""Longer names are cut up by Snakemake; such a run is trained again."""


def forget_finished(runs: Iterable[Path], *, state: Path = Path(".snakemake")) -> list[Path]:
    """Remove the notes that say that outputs of finished runs are incomplete.

    Parameters
    ----------
    runs : iterable of Path
        Folders of runs, as Snakemake names them: relative to its working directory.
    state : Path
        Snakemake's own folder.

    Returns
    -------
    list of Path
        The runs that there were such notes of.
    """
    folder, found = state / "incomplete", []
    if not folder.is_dir():
        return found
    for run in runs:
        names = [urlsafe_b64encode(str(run / name).encode()).decode() for name in ("run.json", "metrics.parquet")]
        notes = [folder / name for name in names if len(name) <= LONGEST]
        if (run / "run.json").is_file() and any(note.exists() for note in notes):
            found.append(run)
            for note in notes:
                note.unlink(missing_ok=True)
    return found
