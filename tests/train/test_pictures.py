"""Names of labels and clusters are anybody's: they are drawn as they are, or as boxes."""

from pathlib import Path

from matplotlib.figure import Figure

from beepwatch.train.pictures import write_png


def test_a_name_in_any_script_and_with_any_sign_is_drawn(tmp_path: Path) -> None:
    """matplotlib takes what is between dollars for a formula, and warns of each missing letter."""
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    axes.barh([0, 1], [2, 3], label=r"$\frac$")
    axes.set_yticks([0, 1], ["$_$", "洗濯機"])
    axes.set_title("$^_$")
    axes.legend()
    write_png(figure, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]
