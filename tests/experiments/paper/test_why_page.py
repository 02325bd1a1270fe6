import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/explanation/why-the-paper-does-not-reproduce.md"


@pytest.mark.skipif(not PAGE.is_file(), reason="the documentation is not part of a wheel")
def test_the_demonstrations_run_and_show_what_the_page_says(capsys, recwarn):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 3
    exec(compile("\n".join(blocks), str(PAGE), "exec"), {})
    told = capsys.readouterr().out
    assert "effective rank: 1" in told
    assert re.search(r"cosine: 0\.9[5-9]", told)
    lines = [line for line in told.splitlines() if "passes" in line]
    early, late = (
        re.findall(r"ΔEO (\S+)", line.replace(",", "")) for line in (lines[0], lines[-1])
    )
    assert early[0] != early[1]
    assert late[0] == late[1]
