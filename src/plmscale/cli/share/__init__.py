"""Subcommands that give a study, or plmscale itself, to somebody else."""
