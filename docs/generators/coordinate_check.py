"""Draw the coordinate check of muP, and write its numbers: `python docs/generators/coordinate_check.py`.

Writes docs/howto/coordinate-check.png and the table of docs/howto/recipes.md, from the numbers of tests/test_mup.py.
"""

import re
import sys
from importlib import import_module
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from plmscale.files import atomic
from plmscale.presentation.figure_style import OKABE_ITO, log_ticks, panels, style

ROOT = Path(__file__).parents[2]
PAGE, FIGURE = (ROOT / "docs/howto" / name for name in ("recipes.md", "coordinate-check.png"))
TITLES = {"block": "block output", "logits": "logits"}
NAMES = {False: "standard", True: "muP"}
TABLE = re.compile(r"^\| \| d = .*\n\|---.*\n(\|.*\n)+", re.M)

Changes = dict[tuple[str, bool], list[float]]


def measured() -> tuple[tuple[int, ...], Changes, dict[tuple[str, bool], float]]:
    """Widths, changes of activations, and their exponents in the width."""
    sys.path.insert(0, str(ROOT / "tests"))
    test_mup = import_module("test_mup")
    found = {(name, mup): test_mup.changes(mup=mup)[name] for name in TITLES for mup in NAMES}
    return test_mup.WIDTHS, found, {key: test_mup.slope(values) for key, values in found.items()}


def drawn(widths: tuple[int, ...], changes: Changes, exponents: dict[tuple[str, bool], float]) -> Figure:
    """A panel for each activation, changes against the width."""
    figure, ((first, second),) = panels(1, 2, height=2.6)
    for ax, (name, title) in zip((first, second), TITLES.items(), strict=True):
        for (mup, said), colour, marker in zip(NAMES.items(), OKABE_ITO[1::-1], "so", strict=True):
            label = f"{said}: as $d^{{{exponents[name, mup]:.2f}}}$"
            ax.loglog(widths, changes[name, mup], color=colour, marker=marker, label=label)
        ax.set_xticks(widths, [str(width) for width in widths])
        ax.xaxis.set_minor_locator(NullLocator())
        log_ticks(ax.yaxis)
        ax.set(title=title.capitalize(), xlabel="Width d (features)")
        ax.legend()
    first.set_ylabel("Mean absolute change in 4 steps")
    return figure


def table(widths: tuple[int, ...], changes: Changes, exponents: dict[tuple[str, bool], float]) -> str:
    """The numbers in Markdown."""
    lines = ["| | d = " + " | ".join(map(str, widths)) + " | exponent in d |", "|---" * (len(widths) + 2) + "|"]
    for (name, mup), values in changes.items():
        cells = [f"{TITLES[name]}, {NAMES[mup]}", *(f"{value:.3f}" for value in values)]
        lines.append(f"| {' | '.join(cells)} | {exponents[name, mup]:.2f} |".replace("-", "−"))
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write figure and table."""
    found = measured()
    with style():
        figure = drawn(*found)
        with atomic(FIGURE) as partial:
            figure.savefig(partial, dpi=150, metadata={"Software": None})
    page, n = TABLE.subn(lambda _: table(*found), PAGE.read_text(encoding="utf-8"))
    if n != 1:
        raise SystemExit(f"{PAGE}: {n} tables of the coordinate check, not one")
    with atomic(PAGE) as partial:
        partial.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
