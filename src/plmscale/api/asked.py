"""Questions to laws from Python: what `plmscale ask` asks."""

from typing import TYPE_CHECKING, Any

from ..results.saved import Saved

if TYPE_CHECKING:
    from ..ask.answer import Answer
    from ..ask.asked_law import AskedLaw


class Asked:
    """Laws that can be asked."""

    @property
    def saved(self) -> Saved:
        """The laws with what they rest on."""
        raise NotImplementedError

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
