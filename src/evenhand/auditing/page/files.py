"""The files of an audit: a page, tables, a document for machines, and on request PDF and Excel."""

from __future__ import annotations

import io
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from evenhand._base.asked import CONFIG, write_config
from evenhand._base.files import write_atomically
from evenhand._base.seals import write_sums
from evenhand._base.text import csv_safe, frame_to_csv
from evenhand.auditing.against import frame as changes_frame
from evenhand.auditing.page.people import headline, left_out, words_of
from evenhand.auditing.page.render import gaps, render
from evenhand.errors import EvenhandError, MissingExtraError
from evenhand.report.files import to_json
from evenhand.report.people import sentences
from evenhand.report.record import results_frame

if TYPE_CHECKING:
    from evenhand.auditing.result import Audit

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--no-pdf-header-footer"),
)
PATIENCE = 120
"""Seconds that a browser may take."""


def write(audit: Audit, folder: Path) -> dict[str, Path]:
    """Write all files that were asked for, and config.yaml and the sums of all beside them.

    Raises:
        EvenhandError: no browser makes the PDF.
        MissingExtraError: an Excel file without openpyxl.
    """  # noqa: DOC502
    run = audit.to_run()
    content: dict[str, str | bytes] = {
        "report.html": render(audit),
        "result.json": to_json(run),
        "results.csv": frame_to_csv(results_frame(run.records)),
        "groups.csv": frame_to_csv(audit.group_frame()),
    }
    if len(audit.classes) == 2:
        content["ratios.csv"] = frame_to_csv(ratio_frame(audit))
    if compared := audit.comparisons():
        content["comparisons.csv"] = frame_to_csv(comparison_frame(compared))
    if audit.against:
        content["changes.csv"] = frame_to_csv(changes_frame(audit.against))
    for at, table in enumerate(audit.view(), 1):
        frame = pd.DataFrame(table["rows"])[[key for _, key, _ in table["columns"]]]
        frame.columns = pd.Index([head for head, _, _ in table["columns"]])
        content[f"ll144-{at}.csv"] = frame_to_csv(frame)
    if audit.request.xlsx:
        content["audit.xlsx"] = workbook(audit)
    # First, so that a folder whose run was cut short is known again.
    write_config(folder, {"command": "audit", **audit.request.to_config()})
    paths = {name: write_atomically(folder / name, what) for name, what in content.items()}
    if audit.request.pdf:
        paths["report.pdf"] = write_atomically(
            folder / "report.pdf", printed(folder / "report.html")
        )
    write_sums(folder, [CONFIG, *paths])
    return paths


def ratio_frame(audit: Audit) -> pd.DataFrame:
    """The selection rates and ratios of every grouping, one under the other."""
    frames = []
    for part in audit.shown:
        frame = audit.ratios(part)
        frame.insert(0, "attribute", part.counts.attribute)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def comparison_frame(tables: Sequence[tuple[str, str, pd.DataFrame]]) -> pd.DataFrame:
    """The comparisons of groups, one table under the other; ``table`` says which."""
    return pd.concat(
        [frame.assign(table=title)[["table", *frame.columns]] for title, _, frame in tables],
        ignore_index=True,
    )


def printed(page: Path) -> bytes:
    """A page as PDF, by a browser without a window.

    Raises:
        EvenhandError: there is none, or it fails.
    """
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise EvenhandError(
            "a PDF is printed by Chromium or Chrome, and none is on the path: install it (Debian: "
            "apt-get install chromium), or print report.html from any browser"
        )
    with tempfile.TemporaryDirectory(prefix="evenhand-") as folder:
        pdf = Path(folder) / "report.pdf"
        profile = f"--user-data-dir={folder}/profile"
        command = [browser, *FLAGS, profile, f"--print-to-pdf={pdf}", page.resolve().as_uri()]
        try:
            done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EvenhandError(f"{browser} could not print the page: {error}") from error
        if done.returncode or not pdf.is_file():
            said = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no word"]
            raise EvenhandError(f"{browser} could not print the page: {said[0][:200]}")
        return pdf.read_bytes()


def workbook(audit: Audit) -> bytes:
    """The sentences and the tables as an Excel workbook.

    Raises:
        MissingExtraError: openpyxl is not installed.
    """
    try:
        import openpyxl
    except ImportError as error:
        raise MissingExtraError("openpyxl", "excel", "writing a workbook (--xlsx)") from error
    found = headline(audit)
    told = [*sentences(found, words_of(audit)), *left_out(audit, found), *audit.warnings()]
    facts = [(key.capitalize(), text) for key, text in audit.about.facts]
    sheets = {
        "Summary": pd.DataFrame(
            [(audit.about.title or "Audit", ""), *((line, "") for line in told), *facts],
            columns=["What was found", "More"],
        ),
        "Groups": audit.group_frame(),
        "Gaps": pd.concat([gaps(audit, part) for part in audit.shown], ignore_index=True),
    }
    if len(audit.classes) == 2:
        sheets["Ratios"] = ratio_frame(audit)
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, frame in sheets.items():
        sheet = book.create_sheet(name)
        sheet.append([csv_safe(str(column)) for column in frame.columns])
        for row in frame.itertuples(index=False):
            sheet.append([_cell(value) for value in row])
        for cell in sheet[1]:
            cell.font = openpyxl.styles.Font(bold=True)
        sheet.freeze_panes = "A2"
        sheet.column_dimensions["A"].width = 90 if name == "Summary" else 24
    for (cell,) in book["Summary"].iter_rows(max_col=1):
        cell.alignment = openpyxl.styles.Alignment(wrap_text=True, vertical="top")
    held = io.BytesIO()
    book.save(held)
    return held.getvalue()


def _cell(value: object) -> object:
    """A value as a workbook holds it: whole numbers, numbers, texts that start no formula."""
    if isinstance(value, str):
        return csv_safe(value)
    if pd.isna(value):  # type: ignore[call-overload]
        return None
    return value.item() if hasattr(value, "item") else value
