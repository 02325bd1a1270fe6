"""The report in a real browser: Chromium, without a display."""

import shutil
import subprocess

import pytest
from simulated_run import make_run

from evenhand.report import html

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on the path: apt install chromium"
)

LONG = ("<script>alert(1)</script>", "x" * 300, "عربي 👩🏽‍💻")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    return {
        "plain": html.write(make_run(), folder / "plain.html"),
        "comparison": html.write(make_run(seeds=2, frontier=()), folder / "comparison.html"),
        "long names": html.write(
            make_run(groups=LONG, classes=("y" * 90, "z" * 90)), folder / "long.html"
        ),
    }


def test_the_page_renders_with_the_flags_of_a_plain_command(pages, tmp_path):
    shot = tmp_path / "shot.png"
    options = [f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={shot}"]
    done = subprocess.run(
        [CHROMIUM, *FLAGS, *options, "--window-size=360,900", pages["plain"].as_uri()],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-500:]
    assert shot.read_bytes().startswith(b"\x89PNG")


@pytest.fixture(scope="module")
def adult(tmp_path_factory):
    """The report of a real comparison on Adult."""
    from evenhand.experiments.compare.run import compare
    from evenhand.finetuning.recipe import recipe
    from evenhand.heads.selection.rule import Bound, make_rule

    folder = tmp_path_factory.mktemp("adult")
    rule = make_rule([Bound("equalized_odds", 0.1)], "equalized_odds", 0.9, 0.5, "f1")
    asked = recipe("adult", cache=folder / "cache")
    methods = ["transfer", "neutralized-svd", "gap-eo"]
    compare(asked, range(1), folder / "run", methods=methods, rules=[rule], jobs=1)
    return folder / "run" / "report.html"


def test_the_report_of_a_real_comparison_works(browser, adult):
    assert adult.stat().st_size < 2_000_000
    for width in (360, 1280):
        with Visit(browser, adult, viewport={"width": width, "height": 800}) as visit:
            assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
            assert visit.page.locator(".point").count() > 5
            ring = visit.page.locator("#ring")
            places = set()
            for key in ("End", "Home"):
                visit.page.get_by_label("Bound on ΔEO").press(key)
                places.add(ring.get_attribute("cx"))
            assert len(places) == 2
            assert visit.said == []
            assert [url for url in visit.asked if not url.startswith(("file:", "data:"))] == []


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright, which drives chromium, is not installed"
    )
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS[1:])
        yield opened
        opened.close()


class Visit:
    """A page opened, with what it said on the console and what it asked for."""

    def __init__(self, browser, path, **options):
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.said, self.asked = [], []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("name", ["plain", "long names"])
@pytest.mark.parametrize("script", [True, False])
def test_nothing_overflows_leaves_or_complains(browser, pages, name, width, script):
    size = {"width": width, "height": 800}
    with Visit(browser, pages[name], viewport=size, java_script_enabled=script) as visit:
        box = visit.page.locator("body").bounding_box()
        assert box["width"] <= width
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
        assert visit.said == []
        assert [url for url in visit.asked if not url.startswith(("file:", "data:"))] == []
        for heading in ("The trade-off", "The group table", "What is uncertain"):
            assert visit.page.get_by_role("heading", name=heading).is_visible()
        assert visit.page.locator("svg.frontier").is_visible()
        assert visit.page.locator(".slider").is_visible() == script


@pytest.mark.parametrize("name", ["plain", "comparison"])
def test_the_slider_moves_the_chosen_point_and_the_bars(browser, pages, name):
    with Visit(browser, pages[name], viewport={"width": 900, "height": 800}) as visit:
        page, ring = visit.page, visit.page.locator("#ring")
        slider = page.get_by_label("Bound on ΔEO")
        mark = page.locator("tr[data-bar] rect.after").nth(1)
        places = []
        for key in ("End", "Home"):
            slider.press(key)
            places.append((ring.get_attribute("cx"), mark.get_attribute("x")))
            said = page.locator("#bound-says").inner_text()
            assert ("cross-fitted" if name == "plain" else "promises nothing") in said
        assert places[0][0] != places[1][0]
        assert places[0][1] != places[1][1]
        assert float(places[0][0].rstrip("%")) > float(places[1][0].rstrip("%"))
        assert visit.said == []


def test_it_prints(browser, pages):
    with Visit(browser, pages["plain"]) as visit:
        assert visit.page.pdf().startswith(b"%PDF")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(browser, pages, scheme):
    script = """() => {
      const light = c => { const v = c.match(/[\\d.]+/g).map(Number).slice(0, 3).map(x => x / 255)
        .map(x => x <= .03928 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4);
        return .2126 * v[0] + .7152 * v[1] + .0722 * v[2]; };
      const paper = getComputedStyle(document.body).backgroundColor;
      const ratio = (a, b) => (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
      return Math.min(...[...document.querySelectorAll('p,td,th,small,summary,dt,dd,caption,li')]
        .map(e => ratio(light(getComputedStyle(e).color), light(paper))));
    }"""
    with Visit(browser, pages["plain"], color_scheme=scheme) as visit:
        assert visit.page.evaluate(script) >= 4.5
