"""A command whose options are given once: the second would be taken, and the first forgotten."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand


class OnceCommand(TyperCommand):
    """A command that refuses an option given twice, unless it may be repeated."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line.

        Raises:
            BadParameter: an option that takes one value, or says yes or no, is given twice.
        """
        if not ctx.resilient_parsing:
            _, _, given = self.make_parser(ctx).parse_args(list(args))
            for parameter in given:
                flag = max(parameter.opts, key=len)
                yes = getattr(parameter, "is_flag", False) and not parameter.secondary_opts
                once = parameter.param_type_name == "option" and not (parameter.multiple or yes)
                if once and given.count(parameter) > 1:
                    raise typer.BadParameter(f"{flag} is given twice; give it once")
        return super().parse_args(ctx, args)
