"""What a fine-tuning tells whoever listens: what was asked, measured and chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evenhand._base.events import Telling

if TYPE_CHECKING:
    from evenhand.finetuning.request import FinetuneRequest
    from evenhand.finetuning.result import Result
    from evenhand.finetuning.stage import Stage


def tell_asked(tell: Telling, stage: Stage, request: FinetuneRequest) -> None:
    """Tell what a run was asked for."""
    tell("started", called=stage.task, model=stage.backbone.name, asked=request.to_config())


def tell_result(tell: Telling, result: Result, seconds: float) -> None:
    """Tell every method's figures on the test rows, what was chosen, and that it is done."""
    run, choice = result.run, result.fair_head.choice
    for record in run.records:
        tell("measured", **record.row())
    tell(
        "chosen",
        decided=run.decided,
        promised=run.promised,
        gap={str(criterion): float(gap) for criterion, gap in choice.gaps.items()},
        upper={str(criterion): float(upper) for criterion, upper in choice.uppers.items()},
    )
    tell("finished", seconds=seconds)
