"""The how-to pages of this room, run as they stand."""

import re
from pathlib import Path

import pytest

PAGES = Path(__file__).parents[2] / "docs" / "how-to"


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
@pytest.mark.filterwarnings("ignore:'pin_memory' argument is set as true:UserWarning")
@pytest.mark.parametrize(
    ("page", "needs"),
    [
        ("scikit-learn", ()),
        ("transformers-trainer", ("transformers", "accelerate")),
        ("peft", ("peft",)),
        ("inside-the-model", ("peft",)),
    ],
)
def test_the_page_runs(page, needs, tmp_path, monkeypatch, capsys):
    for package in needs:
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks
    exec(compile("\n".join(blocks), f"{page}.md", "exec"), {})
