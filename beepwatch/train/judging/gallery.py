"""What an evaluation leaves to look at and listen to: the curve, the worst errors, a page."""

import html
from collections.abc import Collection, Sequence
from pathlib import Path

import matplotlib as mpl
import msgspec
import numpy as np
import soundfile
from matplotlib.figure import Figure
from numpy.typing import NDArray

from beepwatch.errors import ConfigurationError
from beepwatch.train.evaluation import ALL_RIVALS, EpisodeEvidence, Report, Study, examine
from beepwatch.train.judging.detection import CLEAR_SNR_DB, Heard, Point, judge, overlaps
from beepwatch.train.judging.results import Evaluation, as_html, as_markdown, page, tables
from beepwatch.train.pictures import write_png
from beepwatch.validation import made
from beepwatch.wording import counted

WORST = 10
AROUND_S = 2.0  # of sound before and after an error
LONGEST_S = 20.0  # of a clip
NEAR_SHARE = 0.3  # of the threshold: where errors are few, what came nearest to one is shown
CURVE, REPORT, NUMBERS, INDEX = "curve.png", "report.md", "report.json", "index.html"


class Mistake(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a stream that was judged wrong, or nearly so."""

    kind: str
    what: str
    score: float
    pcm: NDArray[np.int16]
    marks_s: tuple[tuple[float, float], ...]  # within the clip: the detection, or the beep's pulses
    wrong: bool


def evaluate_into(
    out: Path,
    bundle: Path,
    data: Path,
    split: str,
    *,
    threshold: float | None = None,
    repeats: int = 4,
    seed: int = 7,
    compared: Collection[str] = ALL_RIVALS,
    runs: Path = Path("runs/original"),
    retrain: bool = False,
    report: Report = lambda _line: None,
) -> Evaluation:
    """Judge a bundle beside everything it is compared with, and write all of it into `out`.

    Raises ConfigurationError where that cannot be, before anything is done.
    """
    _check_is_ours(made(out))
    study = examine(
        bundle,
        data,
        split,
        threshold=threshold,
        repeats=repeats,
        seed=seed,
        compared=compared,
        runs=runs,
        retrain=retrain,
        report=report,
    )
    report(f"judging {counted(len(study.hearings), 'detector')} at every threshold")
    evaluation = study.evaluation(curves=True)
    write_gallery(study, evaluation, out)
    report(f"report, curve and worst errors in {out}/{INDEX}")
    return evaluation


def _check_is_ours(out: Path) -> None:
    """Recordings that are called error-…, in a directory named by mistake, would be gone."""
    if any(out.iterdir()) and not (out / NUMBERS).exists():
        raise ConfigurationError(
            f"{out} is not empty and holds no {NUMBERS}, so it is none of ours. Name another "
            "folder with --out."
        )


def write_gallery(study: Study, evaluation: Evaluation, out: Path) -> None:
    """Write everything into a directory, in place of what an earlier run left there."""
    made(out)
    numbers = msgspec.json.encode(evaluation)  # first: by them it is known as ours
    (out / NUMBERS).write_bytes(msgspec.json.format(numbers, indent=1) + b"\n")
    for old in out.glob("error-*"):
        old.unlink()
    found = tables(evaluation)
    (out / REPORT).write_text(as_markdown(found), encoding="utf-8")
    if evaluation.curves:
        draw_curves(evaluation, study, out / CURVE)
    mistakes = worst(study)
    for number, mistake in enumerate(mistakes, 1):
        soundfile.write(out / f"error-{number:02d}.wav", mistake.pcm, study.rate_hz)
        draw_spectrogram(mistake, study.rate_hz, out / f"error-{number:02d}.png")
    (out / INDEX).write_text(_page(evaluation, mistakes), encoding="utf-8")


def worst(study: Study) -> list[Mistake]:
    """The highest scoring false alarms and the lowest scoring misses at 10 dB and better.

    Half of each where there are enough; then what came nearest to an error.
    """
    misses = sorted(_misses(study), key=lambda one: one.score)
    alarms = sorted(_alarms(study), key=lambda one: -one.score)
    kept_alarms = alarms[: max(WORST // 2, WORST - len(misses))]
    kept = kept_alarms + misses[: WORST - len(kept_alarms)]
    return sorted(kept, key=lambda one: (not one.wrong, one.kind))


def _misses(study: Study) -> list[Mistake]:
    own = study.hearings[0]
    found: list[Mistake] = []
    for evidence, stream in zip(own.beeps, study.streams, strict=True):
        if stream.snr_db < CLEAR_SNR_DB or judge(evidence.at(own.threshold), stream.pulses).heard:
            continue
        span = (stream.pulses[0][0], stream.pulses[-1][1])
        pcm, start_s = _cut(stream.pcm, span, study.rate_hz)
        found.append(
            Mistake(
                kind="miss",
                what=f"{stream.device}, {counted(len(stream.pulses), 'pulse')} at "
                f"{stream.pitch_hz:.0f} Hz, {stream.snr_db:.0f} dB, "
                f"first at {span[0] - start_s:.1f} s",
                score=_highest_score(evidence, span),
                pcm=pcm,
                marks_s=tuple((on_s - start_s, off_s - start_s) for on_s, off_s in stream.pulses),
                wrong=True,
            )
        )
    return found


def _highest_score(evidence: object, span: tuple[float, float]) -> float:
    if not isinstance(evidence, EpisodeEvidence):
        return 0.0
    answers = evidence.answers
    first, last = (round(time_s / answers.frame_s) for time_s in span)
    return float(answers.probabilities[first : last + 1].max(initial=0.0))


def _alarms(study: Study) -> list[Mistake]:
    own = study.hearings[0]
    found: list[Mistake] = []
    for negative in study.negatives:
        for evidence in own.silent[negative.category]:
            for heard in _most_likely(evidence.at(NEAR_SHARE * own.threshold)):
                recording = negative.path_at(heard.onset_s).rsplit("/", 1)[-1]
                what = f"{negative.category}, {recording} at {heard.onset_s:.1f} s of the stream"
                found.append(_alarm(heard, negative.pcm, study, what))
    for evidence, stream in zip(own.beeps, study.streams, strict=True):
        for heard in evidence.at(own.threshold):
            if not overlaps(heard.span, stream.pulses):
                what = f"household beside the beep of {stream.device} at {stream.snr_db:.0f} dB"
                found.append(_alarm(heard, stream.pcm, study, what))
    return found


def _most_likely(detections: Sequence[Heard]) -> list[Heard]:
    return sorted(detections, key=lambda heard: -heard.score)[:WORST]


def _alarm(heard: Heard, pcm: NDArray[np.int16], study: Study, what: str) -> Mistake:
    wrong = heard.score >= study.hearings[0].threshold
    clip, start_s = _cut(pcm, heard.span, study.rate_hz)
    return Mistake(
        kind="false alarm" if wrong else "nearly a false alarm",
        what=what,
        score=heard.score,
        pcm=clip,
        marks_s=tuple((on_s - start_s, off_s - start_s) for on_s, off_s in heard.pulses),
        wrong=wrong,
    )


def _cut(
    pcm: NDArray[np.int16], span: tuple[float, float], rate_hz: int
) -> tuple[NDArray[np.int16], float]:
    """The sound around a span, and where in the stream it begins."""
    start_s = max(span[0] - AROUND_S, 0.0)
    end_s = min(span[1] + AROUND_S, start_s + LONGEST_S)
    return pcm[round(start_s * rate_hz) : round(end_s * rate_hz)], start_s


def draw_curves(evaluation: Evaluation, study: Study, path: Path) -> None:
    """Misses against false alarms of every detector in one picture."""
    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(8, 5.5), layout="constrained")
        axes = figure.add_subplot()
        hours = sum(study.hours.values())
        none = 0.5 / hours  # where no false alarm is drawn: a log axis has no zero
        for hearing in study.hearings:
            points = _falling(evaluation.curves[hearing.name])
            (line,) = axes.plot(
                [max(point.false_alarms_per_hour, none) for point in points],
                [100 * (1 - point.recall) for point in points],
                marker=".",
                label=hearing.name,
            )
            for own in points:
                if own.threshold == hearing.threshold:
                    x = max(own.false_alarms_per_hour, none)
                    colour = line.get_color()
                    axes.plot(x, 100 * (1 - own.recall), "o", ms=9, mfc="none", color=colour)
        axes.set_xscale("log")
        axes.set_xlabel(f"false alarms an hour, all streams without a beep ({hours:.2f} h)")
        axes.set_ylabel("patterns missed at 10 dB and better, %")
        axes.set_title(f"split {evaluation.split}, model {evaluation.model_id}")
        axes.axvline(none, color="0.8", lw=6, zorder=0)
        axes.annotate(" none", (1.05 * none, 50), va="center")
        axes.grid(alpha=0.3)
        axes.set_ylim(-2, 102)
        axes.legend(title="o: at its own threshold")
        write_png(figure, path)


def _falling(points: Sequence[Point]) -> Sequence[Point]:
    """From the most false alarms on: below that threshold they melt into ever longer ones."""
    most = max(range(len(points)), key=lambda index: points[index].false_alarms_per_hour)
    return points[most:]


def draw_spectrogram(mistake: Mistake, rate_hz: int, path: Path) -> None:
    """A clip's spectrogram with the detection or the beep's pulses marked below."""
    figure = Figure(figsize=(7, 2.6), layout="constrained")
    axes = figure.add_subplot()
    sound = mistake.pcm / 32_768 + 1e-6 * np.random.default_rng(0).standard_normal(len(mistake.pcm))
    axes.specgram(sound, NFFT=512, Fs=rate_hz, noverlap=384, cmap="magma")
    colour = "tab:green" if mistake.kind == "miss" else "tab:red"
    for onset_s, offset_s in mistake.marks_s:
        axes.plot([onset_s, offset_s], [100, 100], color=colour, lw=4, solid_capstyle="butt")
    axes.set_xlabel("s")
    axes.set_ylabel("Hz")
    write_png(figure, path)


def _page(evaluation: Evaluation, mistakes: Sequence[Mistake]) -> str:
    parts: list[str] = []
    if evaluation.curves:
        parts.append(f'<img src="{CURVE}" alt="misses against false alarms">')
    parts.append("<h2>The worst errors</h2><p>Green: the beep's pulses; red: what was heard.</p>")
    for number, mistake in enumerate(mistakes, 1):
        parts.append(
            f"<h3>{number}. {mistake.kind}, score {mistake.score:.2f}</h3>"
            f"<p>{html.escape(mistake.what)}</p>"
            f'<audio controls preload="none" src="error-{number:02d}.wav"></audio><br>'
            f'<img src="error-{number:02d}.png" alt="spectrogram">'
        )
    parts.append(as_html(tables(evaluation)))
    return page(f"Model {evaluation.model_id} on split {evaluation.split}", parts)
