"""Pictures of a clustering, each a PNG with a sentence that says how to read it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from beepwatch.train.kinds.record import Kinds, title_of
from beepwatch.train.pictures import write_png

# Told apart by most people who see fewer colours, ten of Tableau's twice over: strong, then pale.
_STRONG = (
    *("#4e79a7", "#f28e2b", "#e15759", "#76b7b2", "#59a14f"),
    *("#b07aa1", "#edc948", "#9c755f", "#ff9da7", "#bab0ac"),
)
_PALE = (
    *("#a0cbe8", "#ffbe7d", "#ff8a8c", "#bfe0dd", "#8cd17d"),
    *("#d4a6c8", "#f1ce63", "#d7b5a6", "#ffd0d5", "#dcd6d3"),
)
COLOURS = (*_STRONG, *_PALE)
_COMPONENTS = 30  # that are drawn, and some more than are kept
_MORE_COMPONENTS = 5
_NAMELESS = ("elbow.png", "variance.png")
_GRID = 400  # points a side, of which the borders are made


def forget_pictures(out: Path) -> None:
    """Those that `draw` would take for right, once the clusters are others. Raises OSError."""
    for name in _NAMELESS:
        (out / name).unlink(missing_ok=True)


def draw(out: Path, kinds: Kinds, *, anew: bool) -> dict[str, str]:
    """All of them into a directory: what each shows, by the file's name. Raises OSError.

    Unless `anew`, only names have changed, and a picture without names stays.
    """
    made: dict[str, tuple[str, Callable[[Figure, Kinds], None]]] = {
        "clusters.png": (
            "The recordings on the first two components, each centre a cross. The borders are "
            "where two centres are equally near in this plane; a recording beyond its border is "
            "told apart by the other components.",
            _clusters,
        ),
        "elbow.png": (
            "How many clusters? Where the curve of the squared distances bends (above), and where "
            "the silhouette is highest (below; 1: each recording is far nearer to its own cluster "
            "than to the next, 0: on a border).",
            _elbow,
        ),
        "variance.png": (
            "What each principal component tells, and all up to it together; those left of the "
            "line are kept.",
            _variance,
        ),
        "distances.png": (
            "How far the recordings of each cluster are from its centre. A long tail to the right "
            "is what belongs to it least: listen to its far examples.",
            _distances,
        ),
    }
    for name, (_, fill) in made.items():
        if not anew and name in _NAMELESS and (out / name).exists():
            continue
        figure = Figure(figsize=(8, 5), layout="constrained")
        fill(figure, kinds)
        write_png(figure, out / name)
    return {name: says for name, (says, _) in made.items()}


def _clusters(figure: Figure, kinds: Kinds) -> None:
    axes = figure.subplots()
    found = kinds.partition
    places, centres = np.asarray(found.places)[:, :2], np.asarray(found.centres)[:, :2]
    numbers = np.asarray(found.numbers)
    for cluster in range(1, found.clusters + 1):
        own = places[numbers == cluster]
        axes.scatter(
            own[:, 0], own[:, 1], s=16, color=COLOURS[cluster - 1], label=title_of(kinds, cluster)
        )
    axes.scatter(centres[:, 0], centres[:, 1], marker="x", s=80, color="black", zorder=3)
    if found.clusters > 1:
        _borders(axes, centres)
    share = [100 * each for each in (*found.explained, 0.0)]
    axes.set_xlabel(f"component 1 ({share[0]:.0f} % of the variance)")
    axes.set_ylabel(f"component 2 ({share[1]:.0f} %)")
    axes.legend(title="cluster (recordings)", fontsize=8)


def _borders(axes: Any, centres: np.ndarray) -> None:  # noqa: ANN401 - it has no types
    """Lines between the nearest centres, over all of what is shown."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    across, up = np.meshgrid(np.linspace(left, right, _GRID), np.linspace(low, high, _GRID))
    squares = [np.square(across - x) + np.square(up - y) for x, y in centres.tolist()]
    nearest = np.argmin(squares, axis=0)
    for cluster in range(len(centres)):
        inside = (nearest == cluster).astype(float)
        axes.contourf(across, up, inside, levels=[0.5, 1.5], colors=[COLOURS[cluster]], alpha=0.08)
        if inside.any() and not inside.all():
            axes.contour(across, up, inside, levels=[0.5], colors="0.4", linewidths=0.8)
    axes.set_xlim(left, right)
    axes.set_ylim(low, high)


def _elbow(figure: Figure, kinds: Kinds) -> None:
    upper, lower = figure.subplots(2, 1, sharex=True)
    tried, chosen = kinds.partition.tried, kinds.partition.clusters
    upper.plot([one.clusters for one in tried], [one.inertia for one in tried], "o-")
    upper.set_ylabel("squared distances")
    upper.set_ylim(bottom=0)
    judged = [one for one in tried if one.silhouette is not None]
    lower.plot([one.clusters for one in judged], [one.silhouette for one in judged], "o-")
    lower.set_ylabel("silhouette")
    lower.set_xlabel("clusters")
    lower.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (upper, lower):
        axes.axvline(chosen, color="tab:red", ls=":", label=f"chosen: {chosen}")
        axes.grid(alpha=0.3)
    upper.legend()


def _variance(figure: Figure, kinds: Kinds) -> None:
    axes = figure.subplots()
    found = kinds.partition
    drawn = max(_COMPONENTS, found.kept + _MORE_COMPONENTS)
    share = 100 * np.asarray(found.explained[:drawn])
    places = np.arange(1, len(share) + 1)
    axes.bar(places, share, color="tab:blue", label="one component")
    axes.plot(places, np.cumsum(share), "o-", ms=3, color="tab:green", label="all up to it")
    kept = 100 * sum(found.explained[: found.kept])
    axes.axvline(
        found.kept + 0.5, color="tab:red", ls=":", label=f"kept: {found.kept}, {kept:.1f} %"
    )
    axes.set_xlabel("principal component")
    axes.set_ylabel("share of the variance, %")
    axes.set_xlim(0.4, len(share) + 0.7)
    axes.set_ylim(0, 102)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend()


def _distances(figure: Figure, kinds: Kinds) -> None:
    found = kinds.partition
    distances, numbers = np.asarray(found.distances), np.asarray(found.numbers)
    edges = np.linspace(0, max(float(distances.max()), 1e-6), 25)
    figure.set_size_inches(8, 1.2 + 1.1 * found.clusters)
    rows = figure.subplots(found.clusters, 1, sharex=True, squeeze=False)[:, 0]
    for cluster, axes in enumerate(rows, 1):
        own = distances[numbers == cluster]
        axes.hist(own, edges, color=COLOURS[cluster - 1])
        if len(own):
            axes.axvline(float(np.median(own)), color="black", lw=1)
        axes.set_title(title_of(kinds, cluster), fontsize=9, loc="left")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=3))
    rows[-1].set_xlabel("distance to the centre, in the kept components (line: the median)")
    figure.supylabel("recordings", fontsize=10)
