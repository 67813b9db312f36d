"""All interactive figures of laws and losses, in the order in which a page shows them."""

from ...presentation.figure_style import SizeScale
from ...presentation.page.interactive import Interactive
from ...results.analysed import LawResults
from ...results.study_results import Results
from .figures import loss_figure
from .isoflop_figure import isoflop_figure
from .law_figures import optimum_figure, published_figure


def interactives(results: Results) -> list[Interactive]:
    """Those of a study."""
    return [*of_runs(results), published_figure(results.findings.published)]


def of_runs(results: LawResults) -> list[Interactive]:
    """Those of any runs with their laws."""
    return [optimum_figure(results), loss_figure(results, SizeScale(results.sizes)), isoflop_figure(results)]
