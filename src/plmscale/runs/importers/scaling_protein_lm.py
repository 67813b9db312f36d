"""The protein language models of Cheng et al. 2024 (ScalingProteinLM): loss curves with known defects.

Validation losses of 124 causal and 85 masked models, exported from TensorBoard, one file per run in a folder per size
(`85M_flops/run-mlm_85M_...csv`); the step of the export counts GFLOPs without embeddings. Or the same, merged into one
table. What is wrong with them is found from the data, mended where the data say how, and noted.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from ...errors import InputError
from ..cells import NumberColumn, numbers, texts
from ..ranges import FLOPS_PER_PARAM_TOKEN
from ..table_files import header, is_table, read_table
from ..tidy import ImportedRuns, ImportOptions, tidy
from .tensorboard import TENSORBOARD_COLUMNS

SIZES = {
    "3M": 3538944,
    "6M": 6291456,
    "10M": 9830400,
    "13M": 13192320,
    "20M": 19267584,
    "25M": 25165824,
    "34M": 33690624,
    "40M": 39813120,
    "47M": 47775744,
    "65M": 65728000,
    "85M": 84934656,
    "106M": 106168320,
    "127M": 127699968,
    "154M": 154448288,
    "170M": 170233344,
    "200M": 202309632,
    "230M": 231211008,
    "300M": 302426080,
    "393M": 393216000,
    "470M": 472435184,
    "550M": 550502400,
    "650M": 650930624,
    "680M": 680205312,
    "880M": 886308864,
    "1.2B": 1208881136,
    "1.5B": 1528823808,
    "1.7B": 1784851968,
    "2B": 2044723200,
    "2.4B": 2359296000,
    "2.8B": 2834283904,
    "3.4B": 3425697792,
    "4B": 4076863488,
    "5B": 4917322640,
    "6B": 6165626880,
    "7B": 7247758312,
    "10B": 10682105856,
}
"""Parameters without embeddings by folder: the authors' `model_size_map` (scaling_law_fit_example.ipynb)."""

OBJECTIVES = {"mlm": "MLM", "gpt": "CLM"}
MERGED = {"objective", "size_label", "N_nonemb", "run", "eval_index", "C", "loss"}
_MERGED_TEXTS = {"objective": "objective", "size_label": "size_label", "name": "run"}
_MERGED_NUMBERS = {"n_params": "N_nonemb", "eval_index": "eval_index", "flops": "C", "loss": "loss"}
GIGA = 1e9
LOSS = "lm loss validation"

# An evaluation every 300 steps, of batches of a quarter, half or one times 2^20 tokens (the authors' `data_interval`).
EVALUATION_TOKENS = 300 * 2**20 * np.array([0.25, 0.5, 1.0])
# The curves whose FLOPs are right are within 0.5 % of one of these; those of another size's axis are 15 % off and more.
AXIS_TOLERANCE = 0.02
UNUSED_PREFIX = "dep-"
_SIZE_IN_NAME = re.compile(r"_([0-9.]+[MmBb])_")
_FOLDER = re.compile(r"[0-9.]+[MB](_flops)?")


def files_of(path: Path) -> list[Path]:
    """TensorBoard exports against GFLOPs, in folders named after sizes."""
    if not path.is_dir():
        return []
    named = [f for f in sorted(path.rglob("*.csv")) if "gigaflo" in f.name and _FOLDER.fullmatch(f.parent.name)]
    return [f for f in named if header(f) == TENSORBOARD_COLUMNS]


def matches(path: Path) -> bool:
    """Whether this is the merged table, or a folder of the exports."""
    if path.is_file():
        return is_table(path) and set(header(path)) >= MERGED
    return bool(files_of(path))


def raw_table(path: Path) -> pd.DataFrame:
    """All evaluations as exported, nothing mended.

    Returns
    -------
    DataFrame
        Columns objective, size_label, n_params (NaN where the label has no size), name, eval_index, flops, loss.
    """
    if path.is_file():
        table = read_table(path)
        words = {new: texts(table, old) for new, old in _MERGED_TEXTS.items()}
        values = {new: numbers(table, old, NumberColumn(str(path), old)) for new, old in _MERGED_NUMBERS.items()}
        return pd.DataFrame(words | values)
    parts = []
    for file in files_of(path):
        label, name = file.parent.name.partition("_")[0], file.name.partition("-tag-")[0]
        rows = read_table(file)
        step = numbers(rows, "Step", NumberColumn(str(file), "Step", counts=True))
        parts.append(
            pd.DataFrame(
                {
                    "objective": _objective(file),
                    "size_label": label,
                    "n_params": float(SIZES.get(label, np.nan)),
                    "name": name,
                    "eval_index": np.arange(len(rows)),
                    "flops": step * GIGA,
                    "loss": numbers(rows, "Value", NumberColumn(str(file), "Value", may_diverge=True)),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def read(path: Path, _: ImportOptions) -> ImportedRuns:
    """Curves, mended: see the notes of the result. Groups are the objectives, CLM and MLM.

    Tokens follow from the FLOPs by 6ND, so that there is no choice of FLOPs.
    """
    table = raw_table(path)
    table["run"] = table["objective"] + "/" + table["size_label"] + "/" + table["name"].str.removeprefix("run-")
    _check_rising(table, str(path))
    notes: list[str] = []
    for step in (_without_unused, _without_size, _without_copies, _with_flops_mended):
        table, more = step(table)
        notes += more
    if table.empty:
        raise InputError(f"{path}: no curve is left.")
    notes.append(_labels(table))
    notes.append("N counts no embeddings; D is C / (6 N): rows times the batch do not give it.")
    columns = {"run": "run", "model": "size_label", "group": "objective", "step": "eval_index"}
    columns |= {name: name for name in ("n_params", "flops", "loss")}
    kept = pd.DataFrame({new: table[old] for new, old in columns.items()})
    kept["n_tokens"] = kept["flops"] / (FLOPS_PER_PARAM_TOKEN * kept["n_params"])
    runs = tidy(kept, source=str(path), kind="scaling_protein_lm")
    return ImportedRuns(runs.frame, runs.source, runs.format, (*notes, *runs.notes), LOSS)


def _check_rising(table: pd.DataFrame, source: str) -> None:
    """Refuse curves whose FLOPs do not rise: nothing about them can be told from their differences."""
    for run, rows in by_run(table).items():
        flops = rows["flops"].to_numpy(dtype=float)
        if flops.size < 2 or not flops[0] > 0 or not np.all(np.diff(flops) > 0):
            raise InputError(f"{source}: the FLOPs of {run} do not rise from evaluation to evaluation.")


def _objective(file: Path) -> str:
    for part in (file.name, *(parent.name for parent in file.parents)):
        for word, objective in OBJECTIVES.items():
            if word in part.lower():
                return objective
    raise InputError(f"{file}: neither `gpt` nor `mlm` is in its name or its folders'.")


def by_run(table: pd.DataFrame, key: str = "run") -> dict[str, pd.DataFrame]:
    """Rows of each run, in order of appearance."""
    return {str(run): rows for run, rows in table.groupby(key, sort=False)}


def _without_unused(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    unused = [run for run, rows in by_run(table).items() if str(rows["name"].iloc[0]).startswith(UNUSED_PREFIX)]
    return _without(table, unused), [f"{run} was left out: its authors set it aside (`dep-`)." for run in unused]


def _without_size(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    unknown = [run for run, rows in by_run(table).items() if np.isnan(rows["n_params"].iloc[0])]
    return _without(table, unknown), [f"{run} was left out: nothing says its N." for run in unknown]


def _without(table: pd.DataFrame, runs: list[str]) -> pd.DataFrame:
    return pd.DataFrame(table.iloc[np.flatnonzero(~np.array(table["run"].isin(runs)))])


def _without_copies(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """One of the curves that agree in every loss: the one whose FLOPs are those of its size, else the first."""
    by_losses: dict[tuple[str, bytes], list[str]] = {}
    for run, rows in by_run(table).items():
        key = (str(rows["objective"].iloc[0]), rows["loss"].to_numpy().tobytes())
        by_losses.setdefault(key, []).append(run)
    ratios = {run: _axis_ratio(rows) for run, rows in by_run(table).items()}
    dropped: list[str] = []
    notes = []
    for runs in (runs for runs in by_losses.values() if len(runs) > 1):
        best = min(runs, key=lambda run: round(abs(np.log(ratios[run])) / AXIS_TOLERANCE))
        for run in runs:
            if run != best:
                dropped.append(run)
                notes.append(f"{run} was left out: it is {best} once more.")
    return _without(table, dropped), notes


def _with_flops_mended(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """FLOPs rescaled where an evaluation would have cost 6 N times no batch that was used."""
    factors: dict[str, float] = {}
    notes = []
    runs = by_run(table)
    for run, rows in runs.items():
        ratio = _axis_ratio(rows)
        if abs(np.log(ratio)) <= AXIS_TOLERANCE:
            continue
        label, cost = rows["size_label"].iloc[0], _evaluation_cost(rows)
        same = [other for name, other in runs.items() if name != run and other["size_label"].iloc[0] == label]
        others = [_evaluation_cost(other) for other in same]
        close = [other for other in others if abs(np.log(other / cost * ratio)) <= AXIS_TOLERANCE]
        # Another run of the size, evaluated as often with the same batch, says it exactly.
        factors[run] = float(np.median(close)) / cost if close else 1 / ratio
        origin = "as in the other runs of its size" if close else "by 6ND"
        share = 100 * (1 - 1 / factors[run])
        way = f"{share:.0f} % too low" if share > 0 else f"{-share:.0f} % too high"
        notes.append(f"{run}: its FLOPs were {way} and were multiplied by {factors[run]:.4f}, {origin}.{_also(rows)}")
    scale = np.array([factors.get(run, 1.0) for run in table["run"].tolist()])
    return table.assign(flops=table["flops"].to_numpy() * scale), notes


def _also(rows: pd.DataFrame) -> str:
    """The other reading, where the FLOPs would be right for another size of the study."""
    implied = _evaluation_cost(rows) / (FLOPS_PER_PARAM_TOKEN * EVALUATION_TOKENS)
    own = float(rows["n_params"].iloc[0])
    close = [label for label, n in SIZES.items() if np.any(np.abs(np.log(implied / n)) < AXIS_TOLERANCE / 4)]
    if not close:
        return ""
    nearest = min(close, key=lambda label: abs(np.log(SIZES[label] / own)))
    return f" They were those of the {nearest} size: it may be N that is wrong instead."


def _evaluation_cost(rows: pd.DataFrame) -> float:
    """FLOPs between two evaluations: the most common difference, since exports of long runs skip rows at random."""
    return float(np.median(np.diff(rows["flops"].to_numpy(dtype=float))[:50]))


def _axis_ratio(rows: pd.DataFrame) -> float:
    """FLOPs of an evaluation over those of the nearest batch that was used."""
    tokens = _evaluation_cost(rows) / (FLOPS_PER_PARAM_TOKEN * float(rows["n_params"].iloc[0]))
    return float(tokens / EVALUATION_TOKENS[np.argmin(np.abs(np.log(tokens / EVALUATION_TOKENS)))])


def _labels(table: pd.DataFrame) -> str:
    """Folders that hold runs named after another size."""
    pairs = set()
    for label, name in set(zip(table["size_label"].tolist(), table["name"].tolist(), strict=True)):
        inside = _SIZE_IN_NAME.search(name)
        if inside and inside[1].upper() != label:
            pairs.add(f"{label} holds {inside[1].upper()}")
    return f"Sizes are the folders', not those in the names of runs: {', '.join(sorted(pairs)) or 'all agree'}."
