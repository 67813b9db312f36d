"""The command `plmscale`: one module per subcommand, which reads its arguments, makes one call and prints the result.

A module has `DESCRIPTION`, `arguments(parser)`, which names options, and `run(args)`, which imports what it needs: so
`--help` reads no library. `commands` lists the subcommands, `main` chooses one and says what a person did wrong.
`in_jobs` has those that the workflow calls.
"""
