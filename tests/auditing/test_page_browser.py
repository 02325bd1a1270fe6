"""The audit's page in a real browser: nothing overflows, nothing is loaded, axe finds nothing."""

import shutil

import pandas as pd
import pytest
from test_page import WORDS, decisions

from evenhand.auditing import audit
from evenhand.auditing.page.render import render
from evenhand.auditing.watching.views import as_page
from evenhand.auditing.watching.watch import watch

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on the path: apt install chromium"
)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    (folder / "about.yaml").write_text(WORDS)
    table = decisions({"F": (0.8, 0.1), "M": (0.91, 0.1), "x" * 200: (0.5, 0.5)}, 200)
    few = decisions({"عربي 👩🏽‍💻": (0.5, 0.0)}, 20)
    table = pd.concat([table, few], ignore_index=True).assign(h=lambda t: t["g"].str[:1])
    asked = {"prediction": "p", "groups": ["g", "h"]}
    found = {
        "labels": audit(table, label="y", **asked, about=str(folder / "about.yaml")),
        "none": audit(table, **asked, view="ll144"),
        "scores": audit(table.assign(s=0.5), label="y", score="s", groups="g"),
    }
    found["labels"].write(folder / "run")
    more = table.rename(columns={"p": "decision"})
    options = {"groups": ["g"], "label": "y", "bound": {"equalized_odds": 0.1}}
    for at in range(3):
        looked = watch(folder / "run", more.sample(frac=0.9, random_state=at), **options)
    (folder / "watch.html").write_text(as_page(looked), encoding="utf-8")
    for name, each in found.items():
        (folder / f"{name}.html").write_text(render(each), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright, which drives chromium, is not installed"
    )
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.mark.parametrize("name", ["labels", "none", "scores", "watch"])
@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1280, "dark")])
def test_the_page_fits_loads_nothing_and_can_be_read_by_everybody(
    browser, pages, name, width, scheme
):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    size = {"width": width, "height": 900}
    with browser.new_context(viewport=size, color_scheme=scheme) as context:
        page, asked, said = context.new_page(), [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        address = (pages / f"{name}.html").as_uri()
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert (asked, said) == ([address], [])
        cut = page.evaluate(
            "[...document.querySelectorAll('header *, .picture *:not(.track)')].filter("
            "e => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display != 'inline')"
            ".map(e => e.outerHTML)"
        )
        assert cut == []
        found = axe.Axe().run(page).response["violations"]
        assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []
