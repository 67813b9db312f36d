"""The command `plmscale`: one module a subcommand, arguments in, one call, words out."""
