"""A page to look at clusters and listen to them; it needs nothing from elsewhere."""

import html
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from beepwatch.train.judging.results import Row, Table, as_html, page
from beepwatch.train.kinds.drawing import COLOURS
from beepwatch.train.kinds.examples import Example
from beepwatch.train.kinds.partition import Tried
from beepwatch.train.kinds.record import Kinds, Recording, title_of
from beepwatch.wording import counted

INDEX = "index.html"
CLOUD = Path(__file__).with_name("cloud.js")
_NEXT = (
    "Listen, then name them: beepwatch dataset cluster STORE --out DIR --name 1=imbalance. "
    "Clusters of one name are one kind."
)
_STYLE = (
    "<style>#cloud{width:100%;border:1px solid #ddd;touch-action:none;cursor:grab}"
    "#cloud-legend label{margin-right:1em;white-space:nowrap}audio{vertical-align:middle}</style>"
)


def page_of(kinds: Kinds, examples: Sequence[Example], pictures: Mapping[str, str]) -> str:
    """HTML; `pictures` are files and what they show."""
    clusters = range(1, kinds.partition.clusters + 1)
    parts = [
        _STYLE,
        f"<p>{html.escape(summary(kinds))}</p>",
        f"<p>{html.escape(_NEXT)}</p>",
        as_html([overview(kinds)]),
        *(_listening(kinds, cluster, examples) for cluster in clusters),
        "<h2>In space</h2><p>Drag to turn, wheel to come nearer; point at a recording to read "
        "which it is.</p>",
        _cloud(kinds),
        *(_picture(name, says) for name, says in pictures.items()),
        as_html([_counts(kinds)]),
    ]
    return page("kinds of faults", parts)


def summary(kinds: Kinds) -> str:
    """What was clustered, and how well it falls apart."""
    found = kinds.partition
    told = 100 * sum(found.explained[: found.kept])
    augmented = sum(len(one.augmentations) for one in kinds.recordings)
    size = counted(len(kinds.recordings), "abnormal recording")
    if augmented:
        size += f" (and {counted(augmented, 'augmented version')} of them)"
    return f"{size} in {counted(found.clusters, 'cluster')}. {quality(kinds)} " + (
        f"{told:.1f} % of the variance is in {counted(found.kept, 'principal component')}."
    )


def quality(kinds: Kinds) -> str:
    """The silhouette, beside the best that was found."""
    best, own = kinds.partition.best(), kinds.partition.of(kinds.partition.clusters)
    text = f"Silhouette {_silhouette(own)}"
    if own is None or best.clusters == own.clusters or best.silhouette is None:
        return f"{text}."
    return (
        f"{text}; with {counted(best.clusters, 'cluster')} it is the highest, {_silhouette(best)}."
    )


def _silhouette(one: Tried | None) -> str:
    return "unknown" if one is None or one.silhouette is None else f"{one.silhouette:.2f}"


def overview(kinds: Kinds) -> Table:
    """A line for each cluster: what it is called, how large it is, what sets it apart."""
    found = kinds.partition
    labels = sorted({one.label for one in kinds.recordings})
    rows: list[Row] = []
    for cluster in range(1, found.clusters + 1):
        members = kinds.members(cluster)
        own = Counter(kinds.recordings[n].label for n in members)
        middle = found.distances[members[len(members) // 2]] if members else 0.0
        rows.append(
            (
                f"{cluster} {kinds.names.get(cluster, '')}".strip(),
                str(len(members)),
                *(str(own[label]) for label in labels if len(labels) > 1),
                f"{middle:.2f}",
                ", ".join(f"{kinds.columns[n]} {by:+.1f}" for n, by in found.apart[cluster - 1]),
            )
        )
    return Table(
        title="Clusters",
        header=(
            *("cluster", "recordings"),
            *(label for label in labels if len(labels) > 1),
            *("median distance", "what sets its centre apart"),
        ),
        rows=rows,
        note="The last column: features that are furthest from the mean of all abnormal "
        "recordings, in deviations.",
    )


def _counts(kinds: Kinds) -> Table:
    return Table(
        title="Other numbers of clusters",
        header=("clusters", "squared distances", "silhouette"),
        rows=[
            (
                str(one.clusters),
                f"{one.inertia:.6g}",
                "" if one.silhouette is None else _silhouette(one),
            )
            for one in kinds.partition.tried
        ],
    )


def _listening(kinds: Kinds, cluster: int, examples: Sequence[Example]) -> str:
    lines = [f"<h2>{html.escape(title_of(kinds, cluster))}</h2>"]
    for kind, says in (("near", "Most like it"), ("far", "Least like it")):
        own = [one for one in examples if (one.cluster, one.kind) == (cluster, kind)]
        if own:
            lines.append(f"<p>{says}:</p><ul>{''.join(_example(kinds, one) for one in own)}</ul>")
    return "\n".join(lines)


def _example(kinds: Kinds, one: Example) -> str:
    recording: Recording = kinds.recordings[one.recording]
    distance = kinds.partition.distances[one.recording]
    player = f'<audio controls preload="none" src="{html.escape(one.clip)}"></audio> '
    text = f"{html.escape(recording.path)}, {distance:.2f} from the centre"
    return f"<li>{player if one.clip else ''}{text}</li>"


def _cloud(kinds: Kinds) -> str:
    found = kinds.partition
    data = {
        "points": found.places,
        "clusters": found.numbers,
        "distances": found.distances,
        "paths": [one.path for one in kinds.recordings],
        "centres": found.centres,
        "titles": [title_of(kinds, cluster) for cluster in range(1, found.clusters + 1)],
        "colours": COLOURS[: found.clusters],
    }
    text = msgspec.json.encode(data).decode().replace("<", "\\u003c")
    return (
        '<canvas id="cloud" width="1200" height="800" tabindex="0" '
        'aria-label="the recordings on the first three components"></canvas>'
        '<p id="cloud-said">&nbsp;</p><p id="cloud-legend"></p>'
        f'<script type="application/json" id="cloud-data">{text}</script>'
        f"<script>{CLOUD.read_text(encoding='utf-8')}</script>"
    )


def _picture(name: str, says: str) -> str:
    return f'<p><img src="{name}" alt="{html.escape(says)}"><br>{html.escape(says)}</p>'
