"""The site as it is built: every page is there, and its search works without a network."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.whole


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site, built strictly."""
    for package in ("mkdocs", "material", "mkdocstrings", "jupytext"):
        pytest.importorskip(package)
    if not (ROOT / "mkdocs.yml").is_file():
        pytest.skip("the documentation is not part of a wheel")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_in_the_site(site):
    names = {path.relative_to(site).as_posix() for path in site.rglob("*.html")}
    for page in (ROOT / "docs").rglob("*.md"):
        inside = page.relative_to(ROOT / "docs")
        name = "index.html" if inside.stem in {"index", "README"} else f"{inside.stem}.html"
        assert (inside.parent / name).as_posix() in names
    assert {"reference/commands.html", "reference/python.html", "tutorials/table.html"} <= names


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path: apt install chromium")
def test_the_search_finds_a_page_from_the_disk_alone(site):
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_context(offline=True).new_page()
        page.goto((site / "index.html").as_uri())
        page.locator("input.md-search__input").click()
        page.locator("input.md-search__input").press_sequentially("noise floor")
        found = page.locator(".md-search-result__link").first
        found.wait_for(timeout=20_000)
        assert "noise floor" in page.locator(".md-search-result__list").inner_text().lower()
        browser.close()
