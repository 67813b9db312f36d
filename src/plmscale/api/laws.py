"""Laws fitted to runs, and what can be asked of them."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..errors import InputError
from ..laws.fit import Fit, FitSettings
from ..laws.loss_law import LossLaw
from ..presentation.formats import FIT_TITLES, STATUS_WORDS, verdict, with_interval
from ..results.analysed import Analysed
from ..results.saved import Saved
from ..runs.cells import positive
from ..runs.curves import usable
from .answers import OptimalSize, PredictedLoss
from .choice import loss_fit, optimal_size
from .law import Law
from .names import known
from .runs import span

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..ask.answer import Answer
    from ..ask.asked_law import AskedLaw


class Laws:
    """Laws fitted to runs, those of every group apart.

    `laws["chinchilla"]` is one law; `len`, `in` and iteration go over the names of the laws.

    Parameters
    ----------
    results : Analysed
        The smoothed runs, and the fits by law and group.
    source : str
        Where the runs are from.
    notes : sequence of str
        What was assumed, mended or left out when they were read.
    seed : int
    settings : FitSettings, optional
        What the fits were made with.
    """

    def __init__(
        self,
        results: Analysed,
        *,
        source: str = "",
        notes: Sequence[str] = (),
        seed: int = 0,
        settings: FitSettings | None = None,
    ) -> None:
        self.results, self.source, self.notes, self.seed = results, source, tuple(notes), seed
        self.settings = settings or FitSettings()
        self._loss_laws: dict[tuple[str, str], LossLaw] = {}

    @property
    def saved(self) -> Saved:
        """As files of laws and questions have them."""
        return Saved(self.results, self.source, self.notes, self.seed, self.settings)

    @property
    def groups(self) -> list[str]:
        """Groups, or schedules, of runs that were fitted apart."""
        return self.results.schedules

    def ask(self, *, law: str | None = None, group: str | None = None, **given: Any) -> "Answer":
        """Two quantities of a training run to the others: `plmscale ask`.

        Parameters
        ----------
        law : str, optional
            Which fit answers; if absent the law of a loss with the best verdict.
        group : str, optional
            Needed where there are several.
        **given
            Quantities by the names of the options of `plmscale ask`: params, tokens, flops, loss, device_hours, device,
            precision, days, devices, money, price, sequences, residues, passes, served_tokens, and others.

        Raises
        ------
        InputError
            If too little, too much or a contradiction is given, or the run is outside what the law knows.
        """
        from ..ask.sources import of_saved

        return of_saved(self.saved, fit=law, group=group).ask(**given)

    @staticmethod
    def published(name: str = "cheng2024-mlm") -> "AskedLaw":
        """A published law of proteins, to be asked before there is any run: `Laws.published().ask(flops=1e21)`."""
        from ..ask.sources import of_published

        return of_published(name)

    def only(self, group: str) -> "Laws":
        """The laws of one group."""
        own = self.results.only(self._group(group))
        return Laws(own, source=self.source, notes=self.notes, seed=self.seed, settings=self.settings)

    def __getitem__(self, name: str) -> "Law":
        return Law(self, known(name, self, what="law"), self._group(None))

    def __iter__(self) -> Iterator[str]:
        return iter([name for name in FIT_TITLES if name in self.results.fits])

    def __len__(self) -> int:
        return len(self.results.fits)

    def __contains__(self, name: object) -> bool:
        return name in self.results.fits

    def n_opt(self, flops: float, *, law: str | None = None, group: str | None = None) -> OptimalSize:
        """The compute-optimal size at a training compute.

        Parameters
        ----------
        flops : float
            Training FLOPs, by the convention of the runs.
        law : str, optional
            "envelope", "isoflop" or "chinchilla"; if absent the one with the best verdict, in this order.
        group : str, optional
            Needed where there are several.

        Raises
        ------
        InputError
            If no law is identified, or outside the range in which it is known: from the smallest run to 100 times the
            largest, and sizes within three times those of the runs. The message has the range.
        """
        return optimal_size(
            self.results, positive(flops, name="flops"), law=law, group=self._group(group), settings=self.settings
        )

    def predict(
        self, *, n_params: float, n_tokens: float, law: str | None = None, group: str | None = None
    ) -> PredictedLoss:
        """The loss that a parametric law expects of a size and a number of tokens.

        The interval is made as that of the optimal size: the law is solved again on resamples of the runs (where runs
        share a trunk, on their noise drawn again), and 2.5 and 97.5 % of the losses of these laws are its ends. They
        are solved again from the points of the fit when the first loss is asked for, with the seed of the fit; so they
        are the laws behind its `details["bootstrap"]`. A study's results/ do not hold the seed; 0 is taken.

        Parameters
        ----------
        n_params, n_tokens : float
            Parameters, and tokens seen in one pass over different data.
        law : str, optional
            "chinchilla" or "kaplan"; if absent the one with the better verdict, in this order.
        group : str, optional
            Needed where there are several.

        Raises
        ------
        InputError
            If no law is identified, or outside its range: sizes and fewest tokens within three times those of the
            runs, tokens and FLOPs up to 100 times. The message has the range.
        """
        n, d = positive(n_params, name="n_params"), positive(n_tokens, name="n_tokens")
        own = self._group(group)
        losses = self._loss_law(law, own)
        if outside := losses.outside(n, d):
            raise InputError(f"predict: {FIT_TITLES[losses.fit.name]}'s law of {own} is not known at {outside}.")
        at = losses.at(n, d)
        one = losses.fit
        answer = (at.loss, at.low, at.high, one.name, own, one.status, one.reason, one.caveat, at.position, at.beyond)
        return PredictedLoss(*answer, n, d, at.flops, losses.scatter * at.loss)

    def table(self, name: str = "law_parameters") -> pd.DataFrame:
        """A table at full precision: what tables/{name}.tsv of `plmscale fit` holds.

        Parameters
        ----------
        name : str
            "law_parameters": value, 95 % interval and verdict of every parameter; "optimal_sizes": the optimal size at
            the budgets of the settings; "runs": size, tokens, FLOPs and last smoothed loss of every run.
        """
        from ..report.external_summary import runs_table
        from ..report.tables.laws import law_parameters, optimal_sizes

        laws = {
            "law_parameters": partial(law_parameters, groups="Runs"),
            "optimal_sizes": partial(optimal_sizes, groups="Runs"),
        }
        made = laws | {"runs": runs_table}
        return made[known(name, made, what="table")](self.results).data

    def plot(self, name: str = "compute_optimal", *, group: str | None = None) -> "Figure":
        """A figure of `plmscale fit`, as a matplotlib figure.

        Parameters
        ----------
        name : str
            "compute_optimal", "loss_vs_flops", "isoflop", "contours", "residuals", "parametric_fit" or "plateau".
        group : str, optional
            If absent all groups, but for "loss_vs_flops".
        """
        from .plots import plot

        results = self.results if group is None else self.results.only(self._group(group))
        return plot(results, name, group=partial(self._group, group))

    def save(self, path: str | Path) -> None:
        """Write everything into one JSON file with a checksum; `load` and `plmscale.load_laws` read it."""
        from .saved import save

        save(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> "Laws":
        """`plmscale.load_laws`."""
        from .saved import load_laws

        return load_laws(path)

    def __repr__(self) -> str:
        lines = [self._extent]
        for group in self.groups:
            lines.append(f"  {group}")
            for name, one in _shown(self.results, group).items():
                found = _finding(one)
                said = f"{found and ': '}{found}{found and one.caveat and '; '}{found and one.caveat}"
                lines.append(f"    {FIT_TITLES[name]:14} {STATUS_WORDS[one.status]}{said}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        from ..presentation.table_html import fragment
        from ..presentation.tables import Column, Table

        rows = [
            {"group": group, "law": FIT_TITLES[name], "found": _finding(one), "verdict": verdict(one)}
            for group in self.groups
            for name, one in _shown(self.results, group).items()
        ]
        names = (("Group", "group"), ("Law", "law"), ("Found (95 % interval)", "found"), ("Verdict", "verdict"))
        table = Table(pd.DataFrame(rows, dtype=object), tuple(Column(*one) for one in names))
        return fragment(table, title=self._extent)

    @property
    def _extent(self) -> str:
        source = f" ({self.source})" if self.source else ""
        return f"Laws of {len(self.results.curves)} runs, {span(self.results.sizes)}{source}"

    def _group(self, group: str | None) -> str:
        if group is not None:
            return known(group, self.groups, what="group")
        if len(self.groups) != 1:
            raise InputError(
                f"the runs are of several groups, which are fitted apart: {', '.join(self.groups)}. Choose one: "
                f"laws.only({self.groups[0]!r})."
            )
        return self.groups[0]

    def _loss_law(self, law: str | None, group: str) -> LossLaw:
        one = loss_fit(self.results, law, group)
        key = one.name, group
        if key not in self._loss_laws:
            curves = usable(self.results.only(group).curves)[0]
            self._loss_laws[key] = LossLaw(one, group, curves=curves, seed=self.seed, settings=self.settings)
        return self._loss_laws[key]


def _shown(results: Analysed, group: str) -> dict[str, Fit]:
    from ..report.tables.laws import fits_of

    return fits_of(results, group)


def _finding(one: Fit) -> str:
    """The numbers of a law that stands, in a few words."""
    from ..report.law_lines import headline

    size, tokens = one.estimates.get("a"), one.estimates.get("b")
    if size is not None and tokens is not None and size.value is not None and tokens.value is not None:
        return f"N_opt ~ C^{with_interval(size)}, D_opt ~ C^{with_interval(tokens)}"
    return headline(one.name, one).strip().removesuffix(".")
