"""Schedules of the learning rate in words: settings have names that nobody else knows."""

SCHEDULE_TITLES = {
    "token_decay": "Learning rate decaying with tokens",
    "constant": "Constant learning rate",
    "cosine": "Cosine to the end of each run",
    "wsd": "Warm-up, stable, decay",
}


SHORT = {"token_decay": "decaying with tokens", "constant": "constant", "cosine": "cosine", "wsd trunk": "trunk"}
"""Schedules of the learning rate in a column that is called so."""


def schedule_short(schedule: str) -> str:
    """A schedule in a column of a table, or the schedules in a label; groups of imported runs are their own names.

    Examples
    --------
    >>> schedule_short("token_decay"), schedule_short("study_a, wsd"), schedule_short("wsd trunk")
    ('decaying with tokens', 'study_a, warm-up, stable, decay', 'trunk')
    >>> schedule_short("MLM")
    'MLM'
    """
    words = {name: schedule_words(name) for name in SCHEDULE_TITLES} | SHORT
    return ", ".join(words.get(part, part) for part in schedule.split(", "))


def schedule_title(schedule: str) -> str:
    """Title of the panels of a schedule; groups of imported runs are their own titles."""
    return (SCHEDULE_TITLES | {"wsd trunk": "Trunks"}).get(schedule, schedule)


def schedule_words(schedule: str) -> str:
    """The runs of a schedule, or of a group of somebody's runs, within a sentence.

    Examples
    --------
    >>> schedule_words("token_decay"), schedule_words("MLM"), schedule_words("all runs")
    ('learning rate decaying with tokens', 'runs “MLM”', 'all runs')
    """
    title = SCHEDULE_TITLES.get(schedule)
    if title:
        return f"{title[0].lower()}{title[1:]}"
    return schedule if schedule == "all runs" else f"runs “{schedule}”"
