"""Subcommands that the workflow calls in its jobs, and nobody by hand.

With `fork_server` they begin at once on this machine.
"""
