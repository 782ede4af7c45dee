"""The fuzzer of `benchmarks/fuzz.py`, short, and whether it notices what it is there for."""

import pytest

from benchmarks import fuzz


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "count"), [("audio", 100), ("config", 600), ("bundle", 150)])
def test_spoilt_input_is_read_or_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], kind: str, count: int
) -> None:
    """Each seed has inputs of its own; the long form goes on where this one ends."""
    counts = [f"--{one}={count if one == kind else 0}" for one in ("audio", "config", "bundle")]
    code = fuzz.main([*counts, "--seed", "7"])
    said = capsys.readouterr().out
    assert code == 0, said
    assert f"{kind}: {count} inputs" in said
    assert "refused" in said
    assert "taken" in said


@pytest.mark.slow
def test_what_is_taken_badly_is_found(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of eight inputs: another exception, death, a hang, memory, an error of two lines."""
    monkeypatch.setattr(fuzz, "HANG_S", 8.0)
    code = fuzz.main(["--audio=0", "--config=0", "--bundle=0", "--planted=8"])
    said = capsys.readouterr().out.splitlines()
    assert code == 1
    assert said[0].startswith("planted: 8 inputs")
    assert [line.split()[0] for line in said[1:]] == [f"planted:{n}" for n in range(1, 6)]
    for line, word in zip(
        said[1:], ("KeyError", "died with -6", "more than", "MB", "lines"), strict=True
    ):
        assert word in line
