"""A command with modes: `push`, `push train`, `push libs`."""

from collections.abc import Callable
from typing import Any

import click


class Modes(click.Group):
    """A group of subcommands; its first one is run where none is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put in the default mode; refuse the flags that were modes once."""
        for word in args:
            if word.startswith("--") and word[2:] in self.commands:
                call = f"{ctx.command_path} {word[2:]}"
                raise click.UsageError(f"{word} is not an option any more: run `{call}`.", ctx)
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = [next(iter(self.commands)), *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the modes, the default first."""
        return list(self.commands)


def modes(name: str) -> Callable[[Callable[..., Any]], Modes]:
    """Return the decorator of a command that has modes."""
    metavar = "[MODE] [OPTIONS]"
    return click.group(name, cls=Modes, subcommand_metavar=metavar, options_metavar="")
