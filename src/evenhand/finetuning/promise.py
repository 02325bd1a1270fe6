"""What a fine-tuned model was promised to keep, and on what rows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from evenhand.errors import ArtefactError

if TYPE_CHECKING:
    from evenhand.finetuning.result import Result


@dataclass(frozen=True)
class Promise:
    """What was asked of a model, what was decided, and what is promised of it.

    Attributes:
        asked, decided: a sentence each.
        kept: whether every bound asked for holds with confidence; None where none was asked.
        gaps: criterion to the cross-fitted gap of the model and its upper bound; of a level its
            lower bound.
        attribute: what the groups are groups of.
        groups: their names; the model was judged on these, and reads none.
        rows: how many it was fitted and chosen on, and how many tested it.
    """

    asked: str
    decided: str
    kept: bool | None
    gaps: dict[str, dict[str, float]]
    attribute: str
    groups: tuple[str, ...]
    rows: dict[str, int]

    @classmethod
    def of(cls, result: Result) -> Promise:
        """What a result promises."""
        choice, problem, test = result.fair_head.choice, result.stage.problem, result.stage.test
        gaps = {
            str(criterion): {
                "estimate": float(gap),
                criterion.bounded_by: float(choice.uppers[criterion]),
            }
            for criterion, gap in choice.gaps.items()
        }
        rows = {"train": len(problem.train), "valid": len(problem.valid), "test": len(test)}
        return cls(
            result.run.asked,
            result.run.decided,
            choice.promised,
            gaps,
            test.groups.attribute,
            tuple(test.groups.names),
            rows,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Promise:
        """What :meth:`to_dict` gave.

        Raises:
            ArtefactError: not a promise.
        """
        try:
            return cls(**(document | {"groups": tuple(document["groups"])}))
        except (KeyError, TypeError) as error:
            raise ArtefactError(f"the promise of the model is damaged: {error}") from error

    def __str__(self) -> str:
        said = {True: "It is promised.", False: "It is not promised.", None: ""}[self.kept]
        rows = self.rows.get("train", 0) + self.rows.get("valid", 0)
        judged = (
            f"Judged on {rows:,} rows of {self.attribute} ({', '.join(self.groups)}); "
            "the model reads no group."
        )
        return " ".join(part for part in (self.asked, self.decided, said, judged) if part)
