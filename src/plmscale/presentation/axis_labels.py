"""Labels of axes: a quantity has one name and one unit, in static and interactive figures alike."""

COMPUTE = "C (training FLOPs)"
SIZE = "N (parameters)"
RATIO = "D/N (tokens per parameter)"
OPTIMAL_SIZE = "N_opt (parameters)"
OPTIMAL_TOKENS = "D_opt (tokens)"


def loss_label(what: str = "Loss", *, masked: bool) -> str:
    """A loss with its unit; runs of a study predict masked tokens, those of a table of runs any tokens.

    Examples
    --------
    >>> loss_label(masked=True), loss_label("Final loss", masked=False)
    ('Loss (nats per masked token)', 'Final loss (nats per token)')
    """
    return f"{what} (nats per {'masked ' * masked}token)"


def with_subscripts(label: str) -> str:
    """A label for matplotlib: N_opt with its subscript.

    Examples
    --------
    >>> with_subscripts("N_opt (parameters)")
    '$N_\\\\mathrm{opt}$ (parameters)'
    """
    for symbol in ("N", "D"):
        label = label.replace(f"{symbol}_opt", rf"${symbol}_\mathrm{{opt}}$")
    return label
