"""Subcommands that the workflow calls in its jobs, and nobody by hand."""
