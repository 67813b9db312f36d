"""A design as a study: configuration, sizes and sets, in memory and as files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import copyfile
from typing import Any, NamedTuple

import yaml

from ..errors import InputError
from ..presentation.formats import number, short
from ..study.config import Config, ModelSize, Subset
from ..study.configuration import overlaid
from ..study.recipes.model_row import ModelRow
from ..study.study import Study
from ..study.table_rows import Row, validated
from .budget import CPU, Budget
from .ladder import ladder, ladder_params
from .proteins import Proteins
from .recipe import NARROW, learning_rate, training
from .search import Design

SET = "proteins"
"""Name of the set of all proteins; budgets are passes over it."""

CONFIGURATION = "study.yaml"
MODELS, SUBSETS = "models.tsv", "subsets.tsv"

PROTEINS = "proteins"
"""Folder of the study that a small FASTA is copied into."""

COPIED = 64 * 2**20
"""Bytes of a FASTA up to which it is copied."""


class NoStudy(InputError):
    """A value follows from budget and proteins that no study can have."""


@dataclass(frozen=True)
class Draft:
    """A design with all that its study needs.

    Attributes
    ----------
    design : Design
    budget : Budget
    proteins : Proteins
    base : mapping
        The configuration that it is laid over.
    scale : float
        Factor of the design's tokens.
    """

    design: Design
    budget: Budget
    proteins: Proteins
    base: Mapping[str, Any]
    scale: float = 1.0

    @property
    def models(self) -> tuple[ModelSize, ...]:
        """Sizes with their rates."""
        sizes = (ladder()[i] for i in self.design.places)
        return tuple(size.model_copy(update={"learning_rate": learning_rate(size)}) for size in sizes)

    @property
    def sizes(self) -> list[int]:
        """Parameters of the sizes."""
        return [ladder_params()[i] for i in self.design.places]

    @property
    def epochs(self) -> list[float]:
        """Passes of each token budget, to four digits; one pass would be the set itself, and is moved by 1 in 1000."""
        once = self.proteins.tokens(self.budget.max_length)
        found = [float(f"{self.scale * tokens / once:.4g}") for tokens in self.design.tokens]
        return [1.001 if value == 1.0 else value for value in found]

    @property
    def tokens(self) -> list[float]:
        """Tokens of each budget."""
        once = self.proteins.tokens(self.budget.max_length)
        return [value * once for value in self.epochs]

    @property
    def subsets(self) -> tuple[Subset, ...]:
        """The set of all proteins, and passes over it."""
        whole = whole_set(self.proteins, max_length=self.budget.max_length)
        rows = (
            {"name": f"budget{i}", "kind": "passes", "of": SET, "epochs": epochs, "train": True}
            for i, epochs in enumerate(self.epochs, start=1)
        )
        passes = (_possible(Subset, row, what=self._budget_in_words(row["epochs"])) for row in rows)
        return whole, *(row.model_copy(update={"n_sequences": whole.n_sequences}) for row in passes)

    def settings(self) -> dict[str, Any]:
        """What the configuration file says."""
        budget, tokens = self.budget, self.tokens
        sizes = [float(n) for n in self.sizes]
        middle = 6 * (sizes[0] * sizes[-1] * tokens[0] * tokens[-1]) ** 0.5
        narrow = any(size.d_model < NARROW for size in self.models)
        found: dict[str, Any] = {
            "source": str(self.proteins.path),
            "models": MODELS,
            "subsets": SUBSETS,
            "seeds": list(range(self.design.seeds)),
            "max_length": budget.max_length,
            "holdout": {"n_sequences": self.proteins.n_holdout},
            "training": training(narrow=narrow, shortest=tokens[0], median_flops=middle, precision=budget.precision),
            "hardware": budget.hardware(),
            "analysis": {"budgets": [float(f"{6 * sizes[-1] * tokens[-1] / 10**k:.1g}") for k in (3, 2, 1, 0)]},
        }
        if budget.device == CPU:
            found["execution"] = {
                "engine": "torch",
                "monitors": [],
                "checkpoint_tokens": round(max(tokens[-1] / 4, 1e4)),
            }
        return found

    def study(self) -> Study:
        """The study in memory."""
        rows = tuple(_possible(ModelRow, size.model_dump(), what=f"size {size.name}") for size in self.models)
        config = _possible(Config, overlaid(self.base, self.settings()), what="the configuration")
        return Study(config, rows, self.subsets)

    def _budget_in_words(self, epochs: float) -> str:
        once = self.proteins.tokens(self.budget.max_length)
        return f"a run of {short(epochs * once)} tokens on proteins of {short(once)} a pass, {epochs:.4g} passes"

    def scaled(self, factor: float) -> "Draft":
        """The same with so many times the tokens."""
        return replace(self, scale=factor)

    def in_precision(self, precision: str) -> "Draft":
        """The same in another precision."""
        return replace(self, budget=replace(self.budget, precision=precision))


def _possible(model: type[Row], values: Mapping[str, Any], *, what: str) -> Row:
    """A block of the study.

    Raises
    ------
    NoStudy
        If it has a value that no study can have; in one line, beginning with `what` has it.
    """
    try:
        return validated(model, values, what=what)
    except InputError as error:
        raise NoStudy(" ".join(str(error).split()).rstrip(".")) from None


def whole_set(proteins: Proteins, *, max_length: int) -> Subset:
    """The set of all proteins.

    Raises
    ------
    InputError
        If it has more sequences or tokens than a study can have.
    """
    counts = {"n_sequences": proteins.n_sequences, "n_tokens": proteins.tokens(max_length)}
    return validated(
        Subset, {"name": SET, "kind": "all", "train": False} | counts, what="design: the set of all proteins"
    )


class Source(NamedTuple):
    """Where a study finds its proteins, and that in words."""

    path: str
    words: str


def source_in(proteins: Path, out: Path) -> Source:
    """The FASTA as a study in the folder `out` names it, so that the folder can be moved where that is possible.

    Up to `COPIED` bytes it is copied into the folder. A larger one beside the folder, or below what it lies in, is
    named from there. Any other has its absolute path.
    """
    if proteins.stat().st_size <= COPIED:
        return Source(f"{PROTEINS}/{proteins.name}", "The proteins are copied into the folder: it can be moved.")
    parent = out.resolve().parent
    if proteins.is_relative_to(parent):
        path = (Path("..") / proteins.relative_to(parent)).as_posix()
        return Source(path, f"The study names the proteins {path}: move them together.")
    return Source(
        str(proteins), f"The proteins stay at {proteins}: on another machine, change `source` in {CONFIGURATION}."
    )


def write_files(draft: Draft, folder: Path, *, source: Source, heading: Sequence[str]) -> None:
    """Write study.yaml, models.tsv and subsets.tsv into a folder, and the proteins if they are copied."""
    if source.path.startswith(f"{PROTEINS}/"):
        (folder / PROTEINS).mkdir()
        copyfile(draft.proteins.path, folder / source.path)
    head = "".join(f"# {line}\n" if line else "#\n" for line in heading)
    settings = draft.settings() | {"source": source.path}
    text = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True, width=100)
    (folder / CONFIGURATION).write_text(head + text, encoding="utf-8")
    fields = ("name", "n_layers", "d_model", "d_ffn", "n_heads", "learning_rate", "schedules")
    lines = ["\t".join(fields)]
    for size in draft.models:
        values = [size.name, size.n_layers, size.d_model, size.d_ffn, size.n_heads, f"{size.learning_rate:g}", "wsd"]
        lines.append("\t".join(map(str, values)))
    (folder / MODELS).write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / SUBSETS).write_text(_sets(draft), encoding="utf-8")


def _sets(draft: Draft) -> str:
    whole, *passes = draft.subsets
    lines = [
        f"# {whole.n_sequences:,} sequences of {draft.proteins.n_residues:,} residues; one pass at max_length "
        f"{draft.budget.max_length} is {whole.n_tokens:,} tokens. {draft.proteins.n_holdout:,} more are held out.",
        "name\tkind\tmin_identity\tsame_size_as\tof\tepochs\tn_sequences\tn_tokens\ttrain",
        f"{whole.name}\tall\t\t\t\t\t{whole.n_sequences}\t{whole.n_tokens}\tno",
    ]
    lines += [f"{row.name}\tpasses\t\t\t{row.of}\t{row.epochs:.10g}\t\t\tyes" for row in passes]
    return "\n".join(lines) + "\n"


def described(draft: Draft) -> str:
    """Sizes, budgets and seeds in words."""
    sizes, tokens = draft.sizes, draft.tokens
    seeds = f"{draft.design.seeds} seed{'s' if draft.design.seeds > 1 else ''}"
    return (
        f"{draft.design.n_cells} cells: {len(sizes)} sizes of {short(sizes[0])} to {short(sizes[-1])} parameters × "
        f"{len(tokens)} token budgets of {short(tokens[0])} to {short(tokens[-1])} × {seeds}, in "
        f"{draft.budget.precision}, {number(draft.epochs[-1])} passes over the proteins in the longest"
    )
