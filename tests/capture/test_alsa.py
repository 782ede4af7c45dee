"""ALSA reads its configuration without the plugins that load FFmpeg, and otherwise as it is."""

from pathlib import Path

import pytest

from beepwatch.capture.alsa import lean_configuration
from tests.end_to_end.daemon import daemon
from tests.sound_server import sound_server


def _system(directory: Path, *names: str) -> tuple[Path, Path]:
    plugins = directory / "conf.d"
    plugins.mkdir()
    for name in names:
        (plugins / name).touch()
    main_file = directory / "alsa.conf"
    main_file.write_text(f'@hooks [ {{ func load files [ "{plugins}" "~/.asoundrc" ] }} ]\n')
    return main_file, plugins


def test_light_plugins_are_loaded_one_by_one_in_order(tmp_path: Path) -> None:
    main_file, plugins = _system(
        tmp_path, "99-pulse.conf", "60-a52-encoder.conf", "10-rate-lav.conf", "50-jack.conf", "x"
    )
    text = lean_configuration(main_file, plugins)
    light = f'"{plugins}/50-jack.conf" "{plugins}/99-pulse.conf"'
    assert text == f'@hooks [ {{ func load files [ {light} "~/.asoundrc" ] }} ]\n'


def test_without_heavy_plugins_nothing_is_changed(tmp_path: Path) -> None:
    assert lean_configuration(*_system(tmp_path, "99-pulse.conf")) is None


def test_an_unexpected_configuration_is_left_alone(tmp_path: Path) -> None:
    main_file, plugins = _system(tmp_path, "60-a52-encoder.conf")
    main_file.write_text("pcm.!default { type null }")
    assert lean_configuration(main_file, plugins) is None


def test_a_system_without_alsa_is_left_alone(tmp_path: Path) -> None:
    assert lean_configuration(tmp_path / "alsa.conf", tmp_path) is None


@pytest.mark.mic
@pytest.mark.slow
def test_a_daemon_that_listens_has_no_codec_in_memory(tmp_path: Path) -> None:
    with (
        sound_server(tmp_path / "sound") as server,
        daemon(tmp_path, server.environment) as beepwatch,
    ):
        beepwatch.configure("[notify]\nnotices = false\n")
        beepwatch.start()
        beepwatch.wait_for_log('"event": "listening"')
        loaded = {
            line.rpartition("/")[2]
            for child in beepwatch.children()
            for line in Path(f"/proc/{child}/maps").read_text().splitlines()
        }
        assert any(name.startswith("libasound_module_pcm_pulse") for name in loaded)
        assert not any(name.startswith("libavcodec") for name in loaded)
        assert beepwatch.stop() == 0
