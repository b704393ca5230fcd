"""The pages in a real browser: they load nothing, fit, show pictures, and their showers turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("websockets")

from browser import Page, chromium, open_page
from caloforge.evaluation import evaluate
from caloforge.geometry import project
from caloforge.report import write_evaluation
from caloforge.report.display import save_display

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from caloforge.geometry import Geometry
    from caloforge.showers import Showers

pytestmark = pytest.mark.slow

DESKTOP, PHONE = (1280, 900), (390, 844)
# Mean and spread of the pixels of every image, and its natural size, after all of them are decoded.
PICTURES = """
(async () => {
  const found = [];
  for (const image of document.querySelectorAll("img")) {
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 64;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0, 64, 64);
    const data = context.getImageData(0, 0, 64, 64).data;
    let low = 255, high = 0;
    for (let i = 0; i < data.length; i += 4) {
      low = Math.min(low, data[i]);
      high = Math.max(high, data[i]);
    }
    const box = image.getBoundingClientRect();
    found.push({ width: image.naturalWidth, shown: box.width, contrast: high - low });
  }
  return found;
})()
"""
OVERFLOW = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
# Elements that reach beyond the page, unless something around them scrolls.
TOO_WIDE = """
[...document.querySelectorAll("main *")].filter((element) => {
  const reach = element.getBoundingClientRect().right;
  return reach > document.documentElement.clientWidth + 1 &&
    !element.closest(".scroll, .stage, nav") && element.getBoundingClientRect().width > 0;
}).map((element) => element.outerHTML.slice(0, 80))
"""
# Resolves when all showers near the window are drawn.
DRAWN = """
new Promise((done) => {
  const look = () => {
    const near = [...document.querySelectorAll(".plot[data-near]")];
    if (near.length && near.every((plot) => plot.dataset.drawn)) done(near.length);
    else setTimeout(look, 50);
  };
  look();
})
"""
IS_DRAWN = """
new Promise((done) => {
  const plot = document.getElementById("event-%d");
  const look = () => (plot.dataset.drawn && plot.dataset.near ? done() : setTimeout(look, 50));
  look();
})
"""
# Where the vertices of every drawn shower lie in its stage, from -1 to 1, and its texts that are cut off.
SEEN = """
[...document.querySelectorAll(".plot[data-drawn]")].map((plot) => {
  const { _scene: scene } = plot._fullLayout.scene;
  const { projection, view, model } = scene.glplot.cameraParams;
  const four = [0, 1, 2, 3];
  const times = (m, v) => four.map((r) => four.reduce((sum, c) => sum + m[4 * c + r] * v[c], 0));
  let reach = 0;
  for (const trace of plot.data) {
    trace.x.forEach((x, i) => {
      if (x === null) return;
      const point = [x, trace.y[i], trace.z[i]].map((value, k) => value * scene.dataScale[k]);
      const [a, b, , w] = times(projection, times(view, times(model, [...point, 1])));
      reach = Math.max(reach, Math.abs(a / w), Math.abs(b / w));
    });
  }
  const stage = plot.getBoundingClientRect();
  const cut = [...plot.querySelectorAll(".annotation-text")].filter((text) => {
    const box = text.getBoundingClientRect();
    const across = box.left >= stage.left && box.right <= stage.right;
    return !(across && box.top >= stage.top && box.bottom <= stage.bottom);
  });
  return { reach, cut: cut.map((text) => text.textContent), width: stage.width };
})
"""
LEFTS = "[...document.querySelectorAll('.stage')].map((e) => Math.round(e.getBoundingClientRect().left))"
SHOW = "document.getElementById('event-%d').scrollIntoView({block: 'center', behavior: 'instant'})"
EYE = """
(() => {
  const eye = document.getElementById('event-%d')._fullLayout.scene._scene.getCamera().eye;
  return [eye.x, eye.y, eye.z];
})()
"""
CENTRE = """
(() => {
  const box = document.getElementById('event-%d').getBoundingClientRect();
  return [box.left + box.width / 2, box.top + box.height / 2];
})()
"""
UNFOLD = "document.querySelectorAll('details').forEach((element) => (element.open = true))"
BOARD = "document.querySelectorAll('.board')[1]"


@pytest.fixture(scope="module")
def browser() -> str:
    path = chromium()
    if path is None:
        pytest.skip("no Chromium is installed: this test looks at the report in a browser")
    return path


@pytest.fixture(scope="module")
def report(
    tmp_path_factory: pytest.TempPathFactory, make_toy_showers: Callable[..., Showers], siw: Geometry
) -> Path:
    out = tmp_path_factory.mktemp("report") / "out"
    models = {name: project(make_toy_showers(110, seed=seed), siw) for seed, name in enumerate("abc", 2)}
    write_evaluation(evaluate(make_toy_showers(120, seed=1), models, geometry=siw), out)
    return out / "report.html"


@pytest.fixture(scope="module")
def display(
    tmp_path_factory: pytest.TempPathFactory, make_toy_showers: Callable[..., Showers], siw: Geometry
) -> Path:
    showers = project(make_toy_showers(12, seed=1), siw)
    path = tmp_path_factory.mktemp("display") / "event.html"
    save_display([(f"model {i}", showers[i : i + 1], siw) for i in range(12)], path)
    return path


@pytest.fixture(scope="module", params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def page(
    request: pytest.FixtureRequest, browser: str, report: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Page]:
    width, height = request.param
    with open_page(browser, tmp_path_factory.mktemp("profile")) as page:
        page.resize(width, height, phone=width < 600)
        page.goto(report)
        yield page


def told(page: Page, *methods: str) -> list[dict[str, Any]]:
    return [parameters for method, parameters in page.events if method in methods]


def test_nothing_is_asked_for_outside_of_the_page(page: Page, report: Path) -> None:
    asked = [request["request"]["url"] for request in told(page, "Network.requestWillBeSent")]
    assert report.resolve().as_uri() in asked
    assert [url for url in asked if not url.startswith(("data:", "blob:"))] == [report.resolve().as_uri()]


def test_console_is_silent(page: Page) -> None:
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    assert told(page, "Runtime.exceptionThrown") == []
    errors = [e for e in told(page, "Runtime.consoleAPICalled") if e["type"] in {"error", "assert"}]
    logged = [e["entry"] for e in told(page, "Log.entryAdded") if e["entry"]["level"] == "error"]
    assert errors + logged == []


def test_every_picture_shows_something(page: Page, report: Path) -> None:
    pictures = page.evaluate(PICTURES)
    assert len(pictures) == len(list((report.parent / "figures").glob("*.png"))) >= 25
    for picture in pictures:
        assert picture["width"] > 300
        assert picture["shown"] > 250
        assert picture["contrast"] > 100


def test_page_fits_into_the_window(page: Page) -> None:
    page.evaluate(UNFOLD)
    scroll, client = page.evaluate(OVERFLOW)
    assert scroll <= client
    assert page.evaluate(TOO_WIDE) == []


def test_nothing_is_drawn_or_compiled_before_it_is_looked_at(
    browser: str, report: Path, tmp_path: Path
) -> None:
    with open_page(browser, tmp_path) as page:
        page.resize(*DESKTOP)
        page.goto(report)
        assert page.evaluate("typeof Plotly") == "undefined"
        assert page.evaluate("document.querySelectorAll('.plot canvas').length") == 0


def test_showers_turn(page: Page) -> None:
    for number in range(4):
        page.evaluate(SHOW % number)
        page.evaluate(IS_DRAWN % number)
        assert page.evaluate(f"document.querySelectorAll('#event-{number} canvas').length") >= 1
    page.evaluate(SHOW % 0)
    before = page.evaluate(EYE % 0), page.evaluate(EYE % 1)
    page.drag(tuple(page.evaluate(CENTRE % 0)), (70.0, 25.0))
    page.evaluate("new Promise((done) => setTimeout(done, 500))")
    after = page.evaluate(EYE % 0), page.evaluate(EYE % 1)
    assert max(abs(a - b) for a, b in zip(after[0], before[0], strict=True)) > 0.05
    assert after[1] == before[1]


def test_tables_sort_by_a_column(page: Page) -> None:
    page.evaluate(UNFOLD)
    first = f"{BOARD}.tBodies[0].rows[0].cells[0].textContent.trim()"
    click = f"{BOARD}.tHead.rows[0].cells[2].querySelector('button').click()"
    assert page.evaluate(first) == "Geant4"
    page.evaluate(click)
    assert page.evaluate(first) == "Geant4"
    page.evaluate(click)
    assert page.evaluate(first) == "CaloMan"


def test_pictures_can_be_enlarged(page: Page) -> None:
    page.evaluate("document.querySelector('figure img').click()")
    assert page.evaluate("document.querySelector('dialog').open")
    assert page.evaluate("document.querySelector('dialog img').naturalWidth") > 300
    page.evaluate("document.querySelector('dialog').close()")


@pytest.mark.parametrize(("size", "columns"), [(DESKTOP, 3), ((1000, 800), 2), (PHONE, 1)])
def test_every_shower_of_an_event_is_seen_whole(
    size: tuple[int, int], columns: int, browser: str, display: Path, tmp_path: Path
) -> None:
    with open_page(browser, tmp_path) as page:
        page.resize(*size, phone=size[0] < 600)
        page.goto(display)
        near = page.evaluate(DRAWN)
        assert near < 12  # the others wait until they are scrolled to
        assert len(set(page.evaluate(LEFTS))) == columns
        scroll, client = page.evaluate(OVERFLOW)
        assert scroll <= client
        seen = page.evaluate(SEEN)
        assert len(seen) == near
        for shower in seen:
            assert shower["reach"] < 1
            assert shower["cut"] == []
            assert shower["width"] > 300
        assert told(page, "Runtime.exceptionThrown") == []


def test_showers_far_away_give_their_contexts_back(browser: str, display: Path, tmp_path: Path) -> None:
    with open_page(browser, tmp_path) as page:
        page.resize(*PHONE, phone=True)
        page.goto(display)
        for number in (*range(12), 0):
            page.evaluate(SHOW % number)
            page.evaluate(IS_DRAWN % number)
        assert page.evaluate("document.querySelectorAll('.plot[data-drawn]').length") <= 10
        assert page.evaluate("document.querySelectorAll('#event-0 canvas').length") >= 1
        assert told(page, "Runtime.exceptionThrown") == []
