"""What fine-tuning gives back: the model, the choice and the evidence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evenhand._base.paths import path_of
from evenhand.finetuning.stage import Stage
from evenhand.heads.selection.fair_head import FairHead
from evenhand.report.record import Run

if TYPE_CHECKING:
    from torch import nn

    from evenhand.finetuning.fair_model import FairModel


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """A fine-tuned model and the evidence for it.

    Attributes:
        model: the fine-tuned module; it needs no group to predict. It is of the class that was
            given, or, where the chosen head reads several depths, a
            :class:`~evenhand.DeepReadout` around it.
        fair_head: the choice, its candidates and what is promised.
        run: everything the report shows.
        stage: the problem as the chosen head sees it.

    Example:
        >>> task = eh.tasks.table("people.csv", label="income", groups="sex")
        >>> result = eh.finetune(None, task, strength=1.0)
        >>> print(result.report)  # doctest: +ELLIPSIS
        method ...
        >>> result.save("runs/people").name
        'people'
    """

    model: nn.Module
    fair_head: FairHead
    run: Run
    stage: Stage

    def __repr__(self) -> str:
        """What was asked and what was chosen, where the rows would fill pages."""
        return (
            f"<{type(self).__name__} of {self.stage.task}: {type(self.model).__name__}, "
            f"promised: {self.promised}>\n{self.run.asked}\n{self.run.decided}"
        )

    @property
    def promised(self) -> bool | None:
        """Whether every bound asked for holds with confidence; None where none was asked."""
        return self.fair_head.choice.promised

    @property
    def fair_model(self) -> FairModel:
        """The model with all that leads from a raw row to a decision."""
        from evenhand.finetuning.artefact import model_of

        return model_of(self)

    @property
    def report(self) -> Report:
        """The evidence, to be written where you like."""
        return Report(self.run)

    def save(self, folder: str | Path) -> Path:
        """Write the run folder: config.yaml, results.csv, result.json, report.html, model/, card.

        Raises:
            InputError: the folder cannot be written.
        """  # noqa: DOC502
        from evenhand._base.asked import write_config
        from evenhand._base.run_folder import run_folder
        from evenhand._base.seals import write_sums
        from evenhand.finetuning.card import card_facts
        from evenhand.finetuning.save_artefact import save
        from evenhand.report.files import write_run
        from evenhand.report.model_card import write as write_card

        model = self.fair_model
        name = f"{self.stage.backbone.name}-{self.stage.task}"
        with run_folder(folder, "finetune") as target:
            write_config(target, self.run.config)
            save(model, target / "model", made_from=self.stage.fingerprints)
            write_card(self.run, target / "model", name=name, facts=card_facts(self, model))
            written = write_run(self.run, target)
            kept = [file for file in (target / "model").rglob("*") if file.is_file()]
            names = [file.relative_to(target).as_posix() for file in kept]
            write_sums(target, ["config.yaml", *names, *written])
        return target


@dataclass(frozen=True, eq=False)
class Report:
    """Views of a run."""

    run: Run

    def to_html(self, path: str | Path) -> Path:
        """Write report.html, one self-contained file."""
        from evenhand.report.html import write

        return write(self.run, path_of(path, "the page to write"))

    def __str__(self) -> str:
        from evenhand.report.terminal_table import comparison

        return comparison(self.run.records, self.run.criteria)
