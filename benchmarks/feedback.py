"""Ten taps on "wrong": whether a new kind of false alarm falls silent, and what recall it costs.

    python -m benchmarks.feedback --data DIR [--split dev] [--bundle beep] [--taps 10]

A source is something of the split that the shipped model takes for a beep: a recording without one,
a beeping thing that somebody does not want to hear of (a toy, a monitor: `--toys`), or a made bird
(`--birds`: none of dev's recorded ones is taken for a beep). Each is played again and again in one
half of the split's rooms and homes until it has alarmed as often as there are taps; the daemon's
clips of these are judged "wrong" in a real state directory, and `teach --from-feedback` learns from
them. Then it is played in the other half. Recall is that of the split's recorded beeps at 10 and
5 dB, of other devices than the toy, without and with what was learnt; false alarms are those on the
split's recordings without a beep.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from beepwatch.classify.bundle import Bundle, find_bundle, load_bundle
from beepwatch.classify.engines import Answers, Engine, open_engine
from beepwatch.classify.shelf import Shelf
from beepwatch.classify.taught import TaughtEngine, usable_heads
from beepwatch.decide.hindsight import WholeSound
from beepwatch.messages import Clip, Event, Verdict
from beepwatch.notify.clips import Encoder
from beepwatch.store.corrections import Corrections
from beepwatch.store.database import Database
from beepwatch.store.library import Library
from beepwatch.store.outbox import Outbox
from beepwatch.train import augment, synthesis
from beepwatch.train.dataset import Recording, choose, read_manifest, read_sound
from beepwatch.train.judging import streams
from beepwatch.train.judging.beeps import is_kin
from beepwatch.train.judging.detection import Heard, judge
from beepwatch.train.sounds import creatures
from beepwatch.train.teaching import judged
from beepwatch.train.teaching.examples import heard
from beepwatch.train.teaching.feedback import Feedback, Outcome
from beepwatch.train.teaching.lessons import School

LABEL = "beep"
START = datetime(2026, 1, 1, tzinfo=UTC)
SNRS_DB = (10.0, 5.0)  # of the recorded beeps
SOURCE_SNRS_DB = (8.0, 30.0)
LEAD_S, TAIL_S = 3.0, 4.0
BEFORE_S, AFTER_S = 1.0, 1.0  # of a clip, as the daemon cuts it
LONGEST_S = 10.0
TRIES = 60  # to make a source alarm as often as is wanted
LATER = 30  # occurrences that are tried afterwards
BIRD_S, BIRD_PEAK, BIRD_HISS = 6.0, 0.3, 1e-3
BIRDS_SEED, MOST_BIRDS = 90, 300
SAME_PITCH = 0.015  # relative: a beep that a toy cannot be told from by its pitch

Sound = NDArray[np.float32]


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is taken for a beep and is none, or none that is wanted."""

    name: str
    sound: Sound
    toy: bool
    pitch_hz: float | None


class Occurrence(msgspec.Struct, frozen=True, kw_only=True):
    """Once that it was heard."""

    pcm: NDArray[np.int16]
    answers: Answers

    def ear(self, engine: TaughtEngine) -> WholeSound:
        """What the daemon asks of its sound."""
        return WholeSound(self.pcm, engine.network)


class Place:
    """Half of a split's rooms and household recordings."""

    def __init__(self, data: Path, split: str, half: int, engine: Engine) -> None:
        recordings = read_manifest(data)
        self._engine = engine
        self._rate_hz = engine.rate_hz
        self._rooms = [
            augment.ready_room(read_sound(data / one.path, engine.rate_hz), engine.rate_hz)
            for one in choose(recordings, split, ["rir"], redistributable_only=False)[half::2]
        ]
        self._homes = [
            read_sound(data / one.path, engine.rate_hz)
            for one in choose(recordings, split, ["household"], redistributable_only=False)[half::2]
        ]

    def hear(self, rng: np.random.Generator, sound: Sound) -> Occurrence:
        """In one of the rooms, over one of the homes, as loud as it happens to be."""
        wet = augment.in_room(sound, self._rooms[int(rng.integers(len(self._rooms)))])
        lead = round(LEAD_S * self._rate_hz)
        whole = np.concatenate([np.zeros(lead), wet, np.zeros(round(TAIL_S * self._rate_hz))])
        home = self._homes[int(rng.integers(len(self._homes)))]
        home = np.tile(home, len(whole) // max(len(home), 1) + 1)[: len(whole)]
        loud, still = (max(float(np.sqrt(np.square(one).mean())), 1e-6) for one in (wet, home))
        gain = loud / still * 10 ** (-rng.uniform(*SOURCE_SNRS_DB) / 20)
        mixed = augment.coloured(rng, (whole + gain * home).astype(np.float32), self._rate_hz)
        pcm = augment.to_int16(synthesis.at_peak(mixed) * 10 ** (rng.uniform(-30, -1) / 20))
        return Occurrence(pcm=pcm, answers=heard(self._engine, pcm))


def sources(data: Path, split: str, rate_hz: int, *, toys: int, categories: str) -> list[Source]:
    """Everything of the split that may be taken for a beep."""
    recordings = read_manifest(data)
    wrong = choose(recordings, split, categories.split(","), redistributable_only=False)
    beeps = choose(recordings, split, ["beep_clean"], redistributable_only=False)
    kin = [one for one in beeps if is_kin(one) and one.pitch_hz]
    if toys and not kin:
        raise SystemExit(f"--toys is {toys}, but split {split} has no hospital monitors")
    chosen = [kin[i] for i in np.unique(np.linspace(0, len(kin) - 1, toys).round().astype(int))]
    several = [*((one, False) for one in wrong), *((one, True) for one in chosen)]
    return [_source(data, one, rate_hz, toy=toy) for one, toy in several]


def birds(engine: TaughtEngine, count: int) -> list[Source]:
    """The first so many made birds, mostly whistling ones, that alarm as they are."""
    found: list[Source] = []
    samples = round(BIRD_S * engine.rate_hz)
    for number in range(MOST_BIRDS):
        for kind, sing in (("whistle", creatures.bird_whistle), ("song", creatures.birdsong)):
            if len(found) == count:
                return found
            rng = np.random.default_rng([BIRDS_SEED, number])
            sound = synthesis.at_peak(sing(rng, samples, engine.rate_hz).astype(np.float32))
            hiss = rng.normal(0, BIRD_HISS, samples)
            pcm = augment.to_int16((BIRD_PEAK * sound + hiss).astype(np.float32))
            if judged.alarms(engine, heard(engine, pcm), LABEL, WholeSound(pcm, engine.network)):
                name = f"made bird {number}, a {kind}"
                found.append(Source(name=name, sound=sound, toy=False, pitch_hz=None))
    return found


def _source(data: Path, recording: Recording, rate_hz: int, *, toy: bool) -> Source:
    return Source(
        name=recording.path.removesuffix(".flac").rsplit("/", 1)[-1],
        sound=read_sound(data / recording.path, rate_hz)[: round(LONGEST_S * rate_hz)],
        toy=toy,
        pitch_hz=recording.pitch_hz,
    )


def alarming(
    engine: TaughtEngine, place: Place, source: Source, count: int, seed: int
) -> list[Occurrence]:
    """So many occurrences that alarm, or none if it never or hardly does."""
    found: list[Occurrence] = []
    for number in range(TRIES):
        if number == TRIES // 6 and not found:
            return []
        one = place.hear(np.random.default_rng([seed, number]), source.sound)
        if judged.alarms(engine, one.answers, LABEL, one.ear(engine)):
            found.append(one)
            if len(found) == count:
                return found
    return []


def tap_wrong(
    directory: Path, engine: TaughtEngine, occurrences: Sequence[Occurrence], rate_hz: int
) -> None:
    """What the daemon writes of each, and a tap under it."""
    database = Database(directory)
    outbox, library, ours = Outbox(database), Library(database), Corrections(database)
    for number, one in enumerate(occurrences):
        at = START + timedelta(hours=number)
        for episode in judged.episodes(engine, one.answers, LABEL, one.ear(engine))[:1]:
            first = max(round((episode.pulses[0].onset_s - BEFORE_S) * rate_hz), 0)
            last = round((episode.pulses[-1].offset_s + AFTER_S) * rate_hz)
            clip = Clip(pcm=one.pcm[first:last].tobytes(), rate_hz=rate_hz, started_at=at)
            event = Event(
                label=LABEL,
                onset=at,
                offset=at + timedelta(seconds=(last - first) / rate_hz),
                pulses=len(episode.pulses),
                peak_score=episode.peak_score,
                model_id=engine.model_id,
                final=True,
            )
            written = outbox.write(event=event, clip=clip, channels=[])
            if written.event_id is None:
                raise RuntimeError(f"event {number} was not written")
            sound = Encoder().encode(clip)
            library.keep(written.event_id, 1, sound.content, sound.suffix)
            ours.judge(written.event_id, Verdict.WRONG, 1, at)
    ours.keep_clips()
    database.close()


def learnt(directory: Path, bundle: Bundle, engine: Engine) -> tuple[TaughtEngine, Outcome, float]:
    """What `teach --from-feedback` makes of it, and how many seconds of processor time it took."""
    shelf = Shelf(directory)
    database = Database(directory)
    school = School(bundle, engine, shelf, lambda line: print(line, file=sys.stderr))
    began_s = time.process_time()
    outcome = Feedback(school, bundle, shelf, database).learn(datetime.now(UTC))
    took_s = time.process_time() - began_s
    database.close()
    heads, _ = usable_heads(shelf, bundle.info.model_id, bundle.info.labels)
    return TaughtEngine(engine, bundle.info.thresholds, heads), outcome, took_s


class Beeps:
    """The split's recorded beeps, heard once."""

    def __init__(self, data: Path, split: str, engine: Engine, repeats: int) -> None:
        self.streams = list(
            streams.beep_streams(data, split, engine.rate_hz, SNRS_DB, repeats, seed=3)
        )
        self.answers = [heard(engine, one.pcm) for one in self.streams]
        self.negatives = [
            heard(engine, one.pcm) for one in streams.negative_streams(data, split, engine.rate_hz)
        ]

    def heard(self, engine: TaughtEngine) -> list[bool]:
        """Of each stream, whether its beep is."""
        return [
            judge(_told(engine, answers), one.pulses).heard
            for one, answers in zip(self.streams, self.answers, strict=True)
        ]

    def alarms(self, engine: TaughtEngine) -> int:
        """On what holds no beep."""
        return sum(len(judged.episodes(engine, one, LABEL)) for one in self.negatives)

    def others_than(self, source: Source) -> NDArray[np.bool_]:
        """Which streams are of another pitch than a toy."""
        if not source.toy or source.pitch_hz is None:
            return np.ones(len(self.streams), dtype=bool)
        return np.array(
            [abs(one.pitch_hz / source.pitch_hz - 1) > SAME_PITCH for one in self.streams]
        )


def _told(engine: TaughtEngine, answers: Answers) -> list[Heard]:
    return [
        Heard(
            onset_s=one.pulses[0].onset_s,
            offset_s=one.pulses[-1].offset_s,
            pulses=tuple((pulse.onset_s, pulse.offset_s) for pulse in one.pulses),
        )
        for one in judged.episodes(engine, answers, LABEL)
    ]


def rows(given: argparse.Namespace) -> Iterator[str]:
    """One a source, and the sums."""
    bundle = load_bundle(find_bundle(given.bundle))
    engine = open_engine(bundle)
    bare = TaughtEngine(engine, bundle.info.thresholds)
    near, far = (Place(given.data, given.split, half, engine) for half in (0, 1))
    beeps = Beeps(given.data, given.split, engine, given.repeats)
    before = np.array(beeps.heard(bare))
    alarms_before = beeps.alarms(bare)
    sums = np.zeros(5, dtype=int)
    everything = sources(
        given.data, given.split, engine.rate_hz, toys=given.toys, categories=given.categories
    )
    everything += birds(bare, given.birds)
    yield "| source | later ones that alarmed | still alarm | recall before | after | learnt in |"
    yield "|---|---|---|---|---|---|"
    tried = 0
    for number, source in enumerate(everything):
        if tried == given.sources:
            break
        taps = alarming(bare, near, source, given.taps, 1_000 + number)
        later = alarming(bare, far, source, given.later, 2_000 + number) if taps else []
        if not later:
            continue
        tried += 1
        with tempfile.TemporaryDirectory() as state:
            tap_wrong(Path(state), bare, taps, engine.rate_hz)
            taught, outcome, took_s = learnt(Path(state), bundle, engine)
        still = sum(judged.alarms(taught, one.answers, LABEL, one.ear(taught)) for one in later)
        others = beeps.others_than(source)
        after = np.array(beeps.heard(taught))
        counts = (len(later), still, before[others].sum(), after[others].sum(), others.sum())
        sums += np.array(counts)
        yield (
            f"| {source.name}{' (toy)' if source.toy else ''} | {len(later)} | {still} "
            f"| {counts[2]} of {counts[4]} | {counts[3]} of {counts[4]} | {took_s:.1f} s |"
        )
        for line in outcome.refused:
            yield f"  refused: {line}"
        if (alarms := beeps.alarms(taught)) != alarms_before:
            yield f"  false alarms on the split: {alarms_before} before, {alarms} after"
    yield (
        f"| all | {sums[0]} | {sums[1]} ({100 * sums[1] / max(sums[0], 1):.1f} %) "
        f"| {sums[2]} of {sums[4]} ({100 * sums[2] / max(sums[4], 1):.1f} %) "
        f"| {sums[3]} of {sums[4]} ({100 * sums[3] / max(sums[4], 1):.1f} %) | |"
    )


def main() -> None:
    """Tap, learn, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="directory with manifest.csv")
    parser.add_argument("--split", choices=("dev", "test"), default="dev")
    parser.add_argument("--bundle", default="beep", help="a shipped model's name or a directory")
    parser.add_argument("--taps", type=int, default=10)
    parser.add_argument("--sources", type=int, default=1_000, help="at most so many that alarm")
    parser.add_argument("--later", type=int, default=LATER)
    parser.add_argument("--toys", type=int, default=0, help="so many of dev's hospital monitors")
    parser.add_argument("--birds", type=int, default=0, help="so many made birds that alarm")
    parser.add_argument("--repeats", type=int, default=4, help="tests of a beep at each SNR")
    parser.add_argument(
        "--categories",
        default="nature,other,music,household,speech,doorbell,ambiguous",
        help="of recordings that are tried; empty for none",
    )
    for row in rows(parser.parse_args()):
        print(row, flush=True)


if __name__ == "__main__":
    main()
