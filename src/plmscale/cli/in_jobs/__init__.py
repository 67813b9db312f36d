"""Subcommands that only jobs of the workflow call.

With `fork_server` they begin at once on this machine.
"""
