"""The pages in a browser: sorted, filtered, a case opened, at desktop and at phone width."""

from __future__ import annotations

import shutil

import pytest

from anl_seg.evaluation.reports.comparison import comparison_page
from anl_seg.evaluation.reports.evaluation import evaluation_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
if not (CHROMIUM and DRIVER):
    pytest.skip("needs Debian's chromium and chromium-driver", allow_module_level=True)
webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
from selenium.webdriver.chrome.service import Service  # noqa: E402 (only where there is selenium)
from selenium.webdriver.common.by import By  # noqa: E402


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.execute_cdp_cmd("Network.enable", {})
    driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["http://*", "https://*"]})
    yield driver
    driver.quit()


class Page:
    """Actions of a reader on a page."""

    def __init__(self, browser, first_figure):
        self.browser = browser
        self.first_figure = first_figure

    def all(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def column(self, place):
        """Text of the visible cells of a column of the table of cases."""
        return self.browser.execute_script(
            """return [...document.querySelectorAll("#cases tbody tr")]
            .filter((row) => row.checkVisibility())
            .map((row) => row.cells[arguments[0]].innerText)""",
            place,
        )

    def sort(self, heading):
        headings = [button.text for button in self.all("#cases thead button")]
        self.all("#cases thead button")[headings.index(heading)].click()
        return headings.index(heading)

    def width(self, pixels):
        self.browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": pixels, "height": 844, "deviceScaleFactor": 1, "mobile": pixels < 600},
        )
        return self.browser.execute_script("return document.documentElement.scrollWidth")


@pytest.fixture(scope="module", params=["evaluation", "comparison"])
def file(request, summary, comparison, folders, tmp_path_factory):
    """A page on disk, and the heading of its first column of figures."""
    if request.param == "evaluation":
        html, heading = evaluation_page(summary, images=folders["images"]), "Dice"
    else:
        html, heading = comparison_page(comparison, images=folders["images"]), comparison.baseline
    path = tmp_path_factory.mktemp("pages") / "page.html"
    path.write_text(html, encoding="utf-8")
    return path, heading


@pytest.fixture
def page(browser, file):
    path, heading = file
    browser.get(path.as_uri())
    yield Page(browser, heading)
    assert browser.get_log("browser") == [], "errors in the console"


def test_sorting(page):
    assert page.column(0) == [f"case_{n}" for n in range(10)]
    place = page.sort(page.first_figure)
    *figures, last = page.column(place)
    assert last == "–", "the case without a figure stays at the end"
    assert figures == sorted(figures, key=float)
    assert len(set(figures)) > 3
    assert page.one("#cases th[aria-sort=ascending]").text.startswith(page.first_figure)
    page.sort(page.first_figure)
    assert page.column(place) == [*reversed(figures), "–"]
    assert page.one("#cases th[aria-sort=descending]")
    page.sort("case")
    assert page.column(0) == [f"case_{n}" for n in range(10)]


def test_filtering(page):
    output = page.one("#cases output")
    assert output.text == "10 of 10 cases"
    page.one("[name=words]").send_keys("CASE_7")
    assert page.column(0) == ["case_7"]
    assert output.text == "1 of 10 cases"
    page.one("[name=words]").clear()
    limit = 0.5 if page.first_figure == "Dice" else 50  # a comparison is in per cent
    page.one("[name=limit]").send_keys(str(limit))
    place = [button.text for button in page.all("#cases thead button")].index(page.first_figure)
    shown = [float(figure) for figure in page.column(place)]
    assert 1 < len(shown) < 9
    assert max(shown) <= limit


def test_one_class_at_a_time(page):
    assert set(page.column(1)) == {"foreground"}
    page.one("[name=target] option:last-child").click()
    assert set(page.column(1)) == {"2"}
    assert len(page.column(1)) == 10


def test_opening_a_case(page):
    dialog = page.one("dialog")
    assert not dialog.is_displayed()
    page.all("#cases button.open")[8].click()
    assert dialog.is_displayed()
    assert dialog.find_element(By.TAG_NAME, "h2").text == "case_8"
    pictures = dialog.find_elements(By.CSS_SELECTOR, "svg.overlay")
    assert len(pictures) == len(page.all(".gallery > figure:first-child svg.overlay")) + 1
    assert all(picture.size["width"] > 150 for picture in pictures)
    assert dialog.find_elements(By.CSS_SELECTOR, "path.reference")
    background = pictures[0].value_of_css_property("background-image")
    assert background.startswith('url("data:image/jpeg;base64,')
    page.one("dialog .next").click()
    assert dialog.find_element(By.TAG_NAME, "h2").text == "case_9"
    page.one("dialog .previous").click()
    assert dialog.find_element(By.TAG_NAME, "h2").text == "case_8"
    page.one("dialog .close").click()
    assert not dialog.is_displayed()
    page.one(".gallery button.open").click()
    assert dialog.is_displayed()


def test_the_image_alone_on_click(page):
    page.all("#cases button.open")[8].click()
    outlines = page.all("dialog svg.overlay path")
    assert outlines[0].is_displayed()
    page.all("dialog svg.overlay")[1].click()
    assert not any(outline.is_displayed() for outline in outlines)
    page.all("dialog svg.overlay")[1].click()
    assert outlines[0].is_displayed()


@pytest.mark.parametrize("pixels", [390, 1280])
def test_nothing_is_wider_than_the_screen(page, pixels):
    assert page.width(pixels) <= pixels
    assert all(
        image.get_property("naturalWidth") > 0 and image.get_attribute("alt")
        for image in page.all("img")
    )
