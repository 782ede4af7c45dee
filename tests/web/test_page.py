"""The labelling page in a real Chromium, by keyboard, mouse and touch width."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from beepwatch.train.datasets.catalogue import Catalogue, Relabelling
from tests.web.chromium import Chromium, Page
from tests.web.page_server import PageServer, page_server, write_wav
from tests.web.person import Person
from tests.web.program import LabellingProgram, labelling_program

pytestmark = pytest.mark.browser

RECORDINGS = Path(__file__).parents[1] / "data"
CLIPS = 62  # silent and all alike: two groups of half of them, in the order of their names
HALF = CLIPS // 2


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for number in range(CLIPS):
        write_wav(tmp_path / "clips" / f"{number:02d}.wav", 2.0)
    return tmp_path / "clips"


@pytest.fixture
def server(directory: Path) -> Iterator[PageServer]:
    with page_server(directory) as running:
        yield running


@pytest.fixture
def page(browser: Chromium, server: PageServer) -> Iterator[Page]:
    opened = opened_page(browser, f"http://127.0.0.1:{server.port}/")
    yield opened
    assert opened.complaints == []
    opened.close()


def opened_page(browser: Chromium, url: str) -> Page:
    page = browser.open(url)
    page.wait("document.body?.dataset.ready === 'yes'")
    return page


def saved(page: Page) -> None:
    page.wait("document.getElementById('saved').textContent === 'Saved'")


def labels(directory: Path) -> dict[str, str]:
    return dict(Catalogue(directory).labels())


def where(page: Page) -> str:
    """The clip that the keyboard is at."""
    return str(page.value("document.querySelector('.card.here .name').textContent"))


def run(page: Page) -> list[str]:
    script = (
        "[...document.querySelectorAll('.card[aria-selected=true] .name')].map(n => n.textContent)"
    )
    return list(page.value(script))


def toast(page: Page) -> str:
    return str(page.value("document.getElementById('toast').textContent"))


def named(numbers: range, label: str) -> dict[str, str]:
    return {f"{number:02d}.wav": label for number in numbers}


def test_digits_label_and_go_on_and_a_run_is_labelled_at_once(page: Page, directory: Path) -> None:
    tops = page.value("[...document.querySelectorAll('.card')].map((card) => card.offsetTop)")
    columns = tops.count(tops[0])
    assert where(page) == "00.wav"
    page.press("1")
    assert where(page) == "01.wav"
    page.press("ArrowRight", shift=True)
    page.press("ArrowDown", shift=True)
    assert run(page) == [f"{number:02d}.wav" for number in range(1, 3 + columns)]
    page.press("2")
    assert where(page) == f"{3 + columns:02d}.wav"
    page.press("9")  # there is no ninth label
    page.press("End")
    page.press("ArrowLeft")
    page.press("End", shift=True)
    page.press("1", shift=True)  # whose Shift has not been let go yet
    saved(page)
    assert labels(directory) == (
        {"00.wav": "beep"}
        | named(range(1, 3 + columns), "wash")
        | named(range(HALF - 2, HALF), "beep")
    )
    assert page.value("document.getElementById('count').textContent") == f"{5 + columns} of {CLIPS}"


def test_r_gives_the_rest_of_the_group_the_last_label_and_goes_to_the_next(
    page: Page, directory: Path
) -> None:
    page.press("r")
    assert toast(page).startswith("Label one clip first")
    page.press("1")
    page.press("2")
    page.press("r")
    assert where(page) == f"{HALF}.wav"
    page.press("r")
    page.wait("document.getElementById('toast').textContent.startsWith('That was the last one')")
    saved(page)
    assert labels(directory) == {"00.wav": "beep"} | named(range(1, CLIPS), "wash")
    assert page.value("document.querySelectorAll('nav .done').length") == 2


def test_undo_takes_back_step_by_step_even_after_the_page_was_loaded_again(
    page: Page, directory: Path
) -> None:
    page.press("1")
    page.press("2")
    page.press("r")
    saved(page)
    assert len(labels(directory)) == HALF
    page.press("u")
    assert where(page) == "02.wav"
    saved(page)
    assert labels(directory) == {"00.wav": "beep", "01.wav": "wash"}
    page.value("window.before = true")
    page.ask("Page.reload")
    page.wait("!window.before && document.body?.dataset.ready === 'yes'")
    assert where(page) == "02.wav"
    page.press("z", control=True)
    assert where(page) == "01.wav"
    page.press("u")
    page.press("u")
    assert toast(page) == "There is nothing to undo."
    saved(page)
    assert labels(directory) == {}


def test_a_label_is_corrected_and_taken_away(page: Page, directory: Path) -> None:
    page.press("1")
    page.press("ArrowLeft")
    page.press("2")
    saved(page)
    assert labels(directory) == {"00.wav": "wash"}
    page.press("ArrowLeft")
    page.press("0")
    saved(page)
    assert labels(directory) == {}


def test_two_tabs_see_each_other_and_overwrite_nothing(
    page: Page, browser: Chromium, server: PageServer, directory: Path
) -> None:
    """The second tab is cut off for a while, and labels a clip that the first has labelled too."""
    other = opened_page(browser, f"http://127.0.0.1:{server.port}/")
    page.press("1")
    other.wait("document.querySelector('.card .badge').textContent === 'beep'")
    assert other.value("document.getElementById('count').textContent") == f"1 of {CLIPS}"
    other.press("End")
    other.press("2")
    page.wait("document.querySelector('.card:last-child .badge').textContent === 'wash'")

    other.cut_off(True)
    other.press("Home")
    other.press("ArrowRight")
    other.press("2")
    other.press("2")
    other.wait("document.getElementById('saved').textContent === 'Not saved'")
    page.press("Home")
    page.press("ArrowRight")
    page.press("1")
    saved(page)
    other.cut_off(False)
    other.wait("document.querySelectorAll('.card .badge')[1].textContent === 'beep'")
    saved(other)
    assert toast(other).startswith("Another page was first: that clip is beep.")
    expected = {"00.wav": "beep", "01.wav": "beep", "02.wav": "wash", f"{HALF - 1}.wav": "wash"}
    assert labels(directory) == expected
    page.wait("document.querySelectorAll('.card .badge')[2].textContent === 'wash'")
    other.close()


def test_what_another_program_wrote_is_shown_and_the_rest_leaves_it(
    page: Page, directory: Path
) -> None:
    theirs = [Relabelling(path="05.wav", seen="", label="strange")]
    Catalogue(directory).relabel(theirs)
    page.wait("document.querySelectorAll('.card .badge')[5].textContent === 'strange'")
    page.press("2")
    page.press("r")
    saved(page)
    assert labels(directory) == named(range(HALF), "wash") | {"05.wav": "strange"}


def test_hovering_arrows_and_clicks_play_and_space_stops(page: Page) -> None:
    page.click(".card:nth-child(2)")  # the browser lets nothing sound before
    assert where(page) == "01.wav"
    page.wait("document.querySelector('.card:nth-child(2).playing')")
    page.point(".card:nth-child(3)")
    page.wait("document.querySelector('.card:nth-child(3).playing')")
    assert page.value("document.querySelectorAll('.playing').length") == 1
    played = "parseFloat(document.querySelector('.playing')?.style.getPropertyValue('--played'))"
    page.wait(f"{played} > 20")
    page.wait("!document.querySelector('.playing')")  # its end
    page.press("ArrowRight")
    page.wait("document.querySelector('.card:nth-child(3).playing')")
    page.press(" ")
    page.wait("!document.querySelector('.playing')")
    page.value("""
        window.played = new Set();
        new MutationObserver((changes) => changes.forEach(({ target }) => {
          if (target.matches(".playing")) played.add(target.querySelector(".name").textContent);
        })).observe(document.getElementById("grid"), { subtree: true, attributeFilter: ["class"] });
        undefined
    """)
    page.press("m")
    page.press("ArrowRight")
    assert where(page) == "03.wav"
    page.press("m")
    page.press("ArrowRight")
    page.wait("document.querySelector('.card:nth-child(5).playing')")
    assert page.value("[...played]") == ["04.wav"]


def test_the_mouse_can_do_what_keys_can(page: Page, directory: Path) -> None:
    page.click(".card:nth-child(2)")
    page.click(".card:nth-child(4)", shift=True)
    page.click("#names button:nth-child(1)")
    page.press(" ")  # plays, and does not press the button again
    page.click("#rest")
    page.click("#undo")
    page.click("nav li:nth-child(2) button")
    page.click("#names button:nth-child(2)")
    page.click("#previous")
    saved(page)
    assert labels(directory) == named(range(1, 4), "beep") | {f"{HALF}.wav": "wash"}
    page.click("#help-open")
    assert page.value("document.getElementById('help').open") is True
    page.press("1")
    page.press("Escape")
    assert page.value("document.getElementById('help').open") is False
    assert len(labels(directory)) == 4


@pytest.mark.parametrize("dark", [False, True])
def test_everything_is_within_reach_at_every_width(dark: bool, page: Page) -> None:
    outside = """
        [...document.querySelectorAll('header button, footer button, main h1, .card:first-child')]
          .map((node) => [node.id, node.getBoundingClientRect()])
          .filter(([, box]) => box.left < 0 || box.right > innerWidth || box.bottom > innerHeight
                               || box.width === 0)
          .map(([id]) => id)
    """
    for width in (360, 768, 1_600):
        page.resize(width, 740, dark=dark)
        assert page.value("[innerWidth, document.documentElement.scrollWidth]") == [width, width]
        assert page.value(outside) == []
    ground = page.value("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground[4:-1].split(","))) < 200) is dark


def test_scripts_that_are_not_its_own_do_not_run(page: Page) -> None:
    """What a file's name could smuggle in."""
    script = "Object.assign(document.createElement('script'), {text: 'window.bad = 1'})"
    page.value(f"document.body.append({script})")
    assert page.value("window.bad") is None
    assert any("Content Security Policy" in complaint for complaint in page.complaints)
    page.complaints.clear()


# The program itself, with the shipped network


@pytest.fixture(scope="module")
def real_clips(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """60 clips of 2 s: 14 with beeps, which are alarms and tones in noise, and what each is."""
    directory = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(7)
    sounds: list[tuple[str, np.ndarray, int]] = []
    for name, label in (
        *(("smoke-alarm-16k", "beep"), ("fire_alarm", "beep"), ("baby-cry-16k", "human")),
        *(("appliance_far_away", "wash"), ("distant_traffic", "wash"), ("mains_hum", "wash")),
    ):
        sound, rate_hz = soundfile.read(RECORDINGS / f"{name}.flac", always_2d=True)
        pieces = [sound[i : i + 2 * rate_hz, 0] for i in range(0, len(sound), 2 * rate_hz)]
        sounds += [(label, piece, rate_hz) for piece in pieces if len(piece) == 2 * rate_hz]
    time_s = np.arange(32_000) / 16_000
    while sum(label == "beep" for label, _, _ in sounds) < 14:
        pitch_hz = rng.choice([2_048, 2_730])
        tone = 0.1 * np.sin(2 * np.pi * pitch_hz * time_s) * (time_s % 0.5 < 0.25)
        sounds.append(("beep", tone + rng.normal(0, 0.003, 32_000), 16_000))
    while len(sounds) < 60:
        sounds.append(("wash", rng.normal(0, rng.uniform(0.001, 0.1), 32_000), 16_000))
    truth = {}
    for number, place in enumerate(rng.permutation(len(sounds))):
        label, sound, rate_hz = sounds[place]
        soundfile.write(directory / f"{number:02d}.wav", sound, rate_hz)
        truth[f"{number:02d}.wav"] = label
    return directory, truth


def test_a_person_labels_60_clips_with_few_keys_in_two_sittings(
    browser: Chromium, real_clips: tuple[Path, dict[str, str]]
) -> None:
    """After the first group the program is ended by ^C; the next one goes on where it stopped."""
    directory, truth = real_clips
    assert (len(truth), list(truth.values()).count("beep")) == (60, 14)
    names = ["beep", "wash", "human"]
    with labelling_program(directory, "--labels", ",".join(names)) as program:
        page = opened_page(browser, program.url)
        first = Person(page, truth, names)
        groups = first.groups()
        found = next(groups)
        assert next(groups, None) is not None
        saved(page)
        assert page.complaints == []
        page.close()
        assert program.end() == 0
    done = labels(directory)
    assert done == {path: truth[path] for path in found.paths}
    with labelling_program(directory, "--labels", ",".join(names)) as program:
        page = opened_page(browser, program.url)
        assert page.value("document.getElementById('bar').ariaValueNow") == str(len(done))
        assert where(page) not in done
        second = Person(page, truth, names)
        second.label_everything()
        saved(page)
        page.close()
    assert labels(directory) == truth
    assert (first.presses + second.presses).total() <= 30


def test_a_clip_that_is_gone_is_said_and_the_others_are_saved(
    browser: Chromium, directory: Path
) -> None:
    """Both were labelled while the program was away; nothing of them is left to undo."""
    program = LabellingProgram(directory, "--port", "0", "--labels", "beep,wash")
    page = opened_page(browser, program.url)
    os.kill(program.process.pid, signal.SIGKILL)
    program.process.communicate()
    gone = where(page)
    page.press("1")
    other = where(page)
    page.press("1")
    page.wait("document.getElementById('saved').textContent === 'Not saved'")
    (directory / gone).unlink()
    port = program.url.rstrip("/").rpartition(":")[2]
    with labelling_program(directory, "--port", port, "--labels", "beep,wash"):
        saved(page)
        assert toast(page).startswith("1 clip cannot be labelled any more.")
        assert labels(directory) == {other: "beep"}
        page.value("window.before = true")
        page.ask("Page.reload")
        page.wait("!window.before && document.body?.dataset.ready === 'yes'")
        page.press("u")
        page.press("u")
        assert toast(page) == "There is nothing to undo."
        saved(page)
        assert labels(directory) == {}
        page.close()


def test_keys_pressed_while_the_program_was_killed_are_saved_when_it_is_back(
    browser: Chromium, directory: Path
) -> None:
    program = LabellingProgram(directory, "--port", "0", "--labels", "beep,wash")
    page = opened_page(browser, program.url)
    os.kill(program.process.pid, signal.SIGKILL)
    program.process.communicate()
    at = where(page)
    page.press("1")
    page.wait("document.getElementById('saved').textContent === 'Not saved'")
    assert "does not answer" in page.value("document.getElementById('saved').title")
    assert labels(directory) == {}
    port = program.url.rstrip("/").rpartition(":")[2]
    with labelling_program(directory, "--port", port):
        saved(page)
        assert labels(directory) == {at: "beep"}
        page.close()
