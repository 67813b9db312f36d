"""Completion for shells: `eval "$(plmscale completion bash)"`."""

import argparse

DESCRIPTION = "Print the completion script of a shell."


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.epilog = 'bash: eval "$(plmscale completion bash)"\nzsh:  plmscale completion zsh > "${fpath[1]}/_plmscale"'
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"), help="the shell")


def run(args: argparse.Namespace) -> None:
    """Print the script."""
    import shtab

    from .commands import COMMANDS
    from .main import PROGRAM, filled

    parser = argparse.ArgumentParser(prog=PROGRAM)
    parser.add_argument("--version", action="store_true", help="print the version")
    subparsers = parser.add_subparsers()
    for name, command in COMMANDS.items():
        filled(subparsers.add_parser(name, help=command.summary), name)
    print(shtab.complete(parser, args.shell))
