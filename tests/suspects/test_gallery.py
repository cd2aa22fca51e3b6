"""The gallery in a browser: views, filters, marks by key and click, and their file."""

from __future__ import annotations

import csv
import shutil
import time

import pytest

from anl_seg.cli import main
from anl_seg.evaluation.reports.overlays import FALSE_NEGATIVE, FALSE_POSITIVE
from anl_seg.suspects import declared_classes, gallery, rank
from anl_seg.suspects.examine import examine, pair_files
from anl_seg.suspects.gallery import write_gallery

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
if not (CHROMIUM and DRIVER):
    pytest.skip("needs Debian's chromium and chromium-driver", allow_module_level=True)
webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
from selenium.webdriver.chrome.service import Service  # noqa: E402 (only where there is selenium)
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402


@pytest.fixture(scope="module")
def downloads(tmp_path_factory):
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def browser(downloads):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage"):
        options.add_argument(f"--{argument}")
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.execute_cdp_cmd("Network.enable", {})
    driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["http://*", "https://*"]})
    yield driver
    driver.quit()


@pytest.fixture
def opened(browser, raw, tmp_path):
    """Write and open a page of the data set; return the browser."""

    def run(raw=raw, not_judged=None):
        return open_page(browser, raw, tmp_path / "softmax", not_judged or {})

    return run


@pytest.fixture
def page(opened):
    return opened()


def open_page(browser, raw, softmax, not_judged):
    classes = declared_classes(raw / "dataset.json")
    files = pair_files(softmax, raw / "labelsTr", raw / "imagesTr")
    files = [each for each in files if each.case not in not_judged]
    ranking = rank(examine(files, classes), classes, None, not_judged)
    by_name = {each.case: each for each in files}
    path = write_gallery(ranking, by_name, classes, raw.parent, title="Discs")
    browser.get(f"file://{path}")
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    return browser


def shown(page):
    return [
        figure.get_attribute("data-case")
        for figure in page.find_elements(By.CSS_SELECTOR, "#list figure")
        if figure.is_displayed()
    ]


def visible(page, selector):
    return page.find_element(By.CSS_SELECTOR, f"#list figure {selector}").is_displayed()


def press(page, keys):
    page.switch_to.active_element.send_keys(keys)


def downloaded(file):
    """Wait for decisions.csv, and read the decision on each case."""
    for _ in range(100):
        if file.exists():
            break
        time.sleep(0.1)
    with file.open() as lines:
        return {row["case"]: row["decision"] for row in csv.DictReader(lines)}


def test_views_by_key_and_click(page):
    body = page.find_element(By.TAG_NAME, "body")
    for key, given, predicted, difference in (
        *(("1", False, False, False), ("2", True, False, False)),
        *(("3", False, True, False), ("4", False, False, True), ("5", True, True, False)),
    ):
        body.send_keys(key)
        views = [visible(page, f".g-{name}") for name in ("given", "predicted", "difference")]
        assert views == [given, predicted, difference], key
    page.find_element(By.CSS_SELECTOR, "[data-view=image]").click()
    assert not visible(page, ".g-given")


def test_differences_have_the_colours_of_the_evaluation_report(page):
    page.find_element(By.TAG_NAME, "body").send_keys("4")
    for name, colour in (("only-predicted", FALSE_POSITIVE), ("only-given", FALSE_NEGATIVE)):
        for element in page.find_elements(By.CSS_SELECTOR, f"path.{name}, .legend rect.{name}"):
            shown = element.value_of_css_property("fill")
            assert shown == "rgb({}, {}, {})".format(*colour[:3]), name


def test_filters(page):
    assert len(shown(page)) == 40
    kinds = page.find_element(By.NAME, "kind")
    kinds.send_keys("displaced")
    some = shown(page)
    assert 4 <= len(some) < 40
    words = page.find_element(By.NAME, "words")
    words.send_keys(some[0])
    assert shown(page) == some[:1]
    assert page.find_element(By.ID, "count").text == "1 of 40 cases, 0 marked"


def test_downloaded_marks_revise_the_data_set(page, downloads, raw, monkeypatch):
    monkeypatch.delenv("nnUNet_preprocessed", raising=False)
    first, second, third, *_ = shown(page)
    page.find_element(By.CSS_SELECTOR, f"[data-case={first}] button.picture").click()
    dialog = page.find_element(By.TAG_NAME, "dialog")
    assert dialog.find_element(By.TAG_NAME, "h2").text == first
    press(page, "w")  # marks, and goes on
    assert dialog.find_element(By.TAG_NAME, "h2").text == second
    press(page, Keys.ARROW_LEFT)
    press(page, Keys.ARROW_RIGHT)
    press(page, "f")
    press(page, Keys.ESCAPE)
    assert not dialog.is_displayed()
    page.find_element(By.CSS_SELECTOR, f"[data-case={third}] [data-set=unsure]").click()
    page.find_element(By.ID, "download").click()
    file = downloads / "decisions.csv"
    marks = downloaded(file)
    assert marks == {first: "wrong", second: "fine", third: "unsure"}
    target = raw.parent / "Dataset502_Revised"
    with pytest.raises(SystemExit) as end:
        main(["revise", str(raw), str(target), "--decisions", str(file), "--as", "drop"])
    assert not end.value.code
    left = {path.stem for path in (target / "labelsTr").glob("*.png")}
    assert left == {path.stem for path in (raw / "labelsTr").glob("*.png")} - {first, third}
    page.refresh()
    assert page.find_element(By.ID, "count").text == "40 of 40 cases, 3 marked"
    page.find_element(By.NAME, "mark").send_keys("wrong")
    assert shown(page) == [first]
    page.execute_script("localStorage.clear()")
    page.refresh()
    page.find_element(By.ID, "load").send_keys(str(file))
    assert page.find_element(By.ID, "count").text.endswith("3 marked")


def test_marks_of_cases_without_picture_are_kept(opened, downloads, tmp_path, monkeypatch):
    monkeypatch.setattr(gallery, "MAX_PICTURES", 5)
    page = opened(not_judged={"case_39": "no prediction"})
    first = shown(page)
    assert len(first) == 5
    later = sorted({f"case_{number:02d}" for number in range(39)} - set(first))[:2]
    marks = {first[0]: "wrong", first[1]: "fine", later[0]: "wrong", later[1]: "unsure"}
    marks["case_39"] = "wrong"
    file = tmp_path / "mine.csv"
    rows = [f"{mark.title()},{case},a note" for case, mark in marks.items()]
    rows += ["wrong,stranger,", f"perhaps,{first[2]},"]
    file.write_text("\ufeff" + "\r\n".join(["decision,case,note", *rows, ""]), encoding="utf-8")
    assert not page.find_element(By.ID, "left-out").is_displayed()
    page.find_element(By.ID, "load").send_keys(str(file))
    count = "5 of 5 cases, 2 marked, and 3 marked cases without picture"
    assert page.find_element(By.ID, "count").text == count
    left_out = page.find_element(By.ID, "left-out").text
    assert left_out.startswith("mine.csv: 2 of 7 rows name no case of this data set or no decision")
    assert left_out.endswith(f"wrong,stranger,; perhaps,{first[2]},")
    page.refresh()
    assert page.find_element(By.ID, "count").text == count
    (downloads / "decisions.csv").unlink(missing_ok=True)
    page.find_element(By.ID, "download").click()
    assert downloaded(downloads / "decisions.csv") == marks


def test_marks_of_another_data_set_do_not_appear(opened, raw):
    """Many data sets have a folder of the same name, and cases of the same names."""
    page = opened()
    page.find_element(By.CSS_SELECTOR, "#list [data-set=wrong]").click()
    other = shutil.copytree(raw, raw.parent / "other" / raw.name)
    page = opened(other)
    assert page.find_element(By.ID, "count").text == "40 of 40 cases, 0 marked"
    page = opened()
    assert page.find_element(By.ID, "count").text == "40 of 40 cases, 1 marked"


@pytest.mark.parametrize("pixels", [360, 1200])
def test_the_page_fits_its_width(page, pixels):
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": pixels, "height": 800, "deviceScaleFactor": 1, "mobile": pixels < 600},
    )
    assert page.execute_script("return document.documentElement.scrollWidth") <= pixels
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
