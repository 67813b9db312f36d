"""Snakemake's logger `--logger plmscale`: a dry run that is quiet says what would run, and reads nothing more.

A dry run with `--quiet rules progress` ends once Snakemake knows its jobs; without that, it writes out the command
of each, which for thousands of cells takes half of its time. Its own log leaves the counts of jobs out then (9.27), and
has a banner where its output is captured, which no one asked for: with `--quiet host` it would go on as without.
"""

from logging import LogRecord, getLogger

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

MORE = "Add --verbose for every job, its files and its command."


class LogHandler(LogHandlerBase):
    """Beside Snakemake's own: it prints the counts of jobs of a dry run, and nothing else."""

    writes_to_stream = writes_to_file = needs_rulegraph = False  # type: ignore[assignment]
    has_filter = has_formatter = True  # type: ignore[assignment]

    def __post_init__(self) -> None:
        """Leave out Snakemake's banner."""
        getLogger("snakemake.logging").addFilter(
            lambda record: getattr(record, "event", None) != LogEvent.WORKFLOW_STARTED
        )

    def emit(self, record: LogRecord) -> None:
        """Print the counts."""
        if getattr(record, "event", None) == LogEvent.RUN_INFO and self.common_settings.dryrun:
            print(f"{record.getMessage()}\n{MORE}", flush=True)
