"""What beepwatch is compared with, on the same streams: rule, template and the original network."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beepwatch.train.judging import template
from beepwatch.train.judging.detection import Evidence, Hearing, lowest_threshold
from beepwatch.train.judging.fixed_rule import FixedRule, RuleEvidence, magnitudes
from beepwatch.train.judging.original import Original
from beepwatch.train.judging.streams import (
    BeepStream,
    NegativeStream,
    beep_streams,
    negative_streams,
)

RULE = "fixed-frequency rule"
TEMPLATE = "template from one example"
ORIGINAL = "original BeepNet"
DEV_FALSE_ALARMS_PER_HOUR = 1.0  # at the thresholds that are found on the dev split

Hear = Callable[[Sequence[BeepStream], Sequence[NegativeStream]], Hearing]


def hours_of(negatives: Sequence[NegativeStream], rate_hz: int) -> dict[str, float]:
    """Length of each stream by its category."""
    return {negative.category: len(negative.pcm) / rate_hz / 3_600 for negative in negatives}


def rule_hearing(
    streams: Sequence[BeepStream], negatives: Sequence[NegativeStream], rate_hz: int
) -> Hearing:
    """The fixed-frequency rule, told each device's true tone; false alarms are a mean of tones."""

    def evidence(pitch_hz: float, spectra: NDArray[np.float32]) -> RuleEvidence:
        rule = FixedRule(tone_hz=pitch_hz)
        return RuleEvidence(rule=rule, excess_db=rule.excess_db(spectra, rate_hz))

    tones_hz = sorted({stream.pitch_hz for stream in streams})
    silent: dict[str, list[Evidence]] = {}
    for negative in negatives:
        spectra = magnitudes(negative.pcm, rate_hz)
        silent[negative.category] = [evidence(tone_hz, spectra) for tone_hz in tones_hz]
    return Hearing(
        name=RULE,
        threshold=FixedRule(tone_hz=1_000).sensitivity_db,
        sweep=tuple(np.arange(0.0, 50.0, 2.0).tolist()),
        beeps=[evidence(stream.pitch_hz, magnitudes(stream.pcm, rate_hz)) for stream in streams],
        silent=silent,
        note="told each device's true tone, 6 dB; false alarms are the mean over tones",
    )


def template_hearing(
    streams: Sequence[BeepStream], negatives: Sequence[NegativeStream], rate_hz: int
) -> Hearing:
    """A template for each device, from one clean example; false alarms are a mean of templates."""
    templates: dict[str, template.Template] = {}
    for stream in streams:
        if stream.device not in templates:
            templates[stream.device] = template.learn(stream.example, stream.example_pulse, rate_hz)
    silent: dict[str, list[Evidence]] = {}
    for negative in negatives:
        spectrogram = template.log_spectrogram(negative.pcm / np.float32(32_768), rate_hz)
        silent[negative.category] = [template.match(one, spectrogram) for one in templates.values()]
    return Hearing(
        name=TEMPLATE,
        threshold=0.5,
        sweep=tuple(np.arange(0.1, 0.98, 0.02).round(2).tolist()),
        beeps=[
            template.match(
                templates[stream.device],
                template.log_spectrogram(stream.pcm / np.float32(32_768), rate_hz),
            )
            for stream in streams
        ],
        silent=silent,
        note="told a clean example of each device; false alarms are the mean over templates",
    )


def original_hearing(
    streams: Sequence[BeepStream],
    negatives: Sequence[NegativeStream],
    *,
    network: Original,
    rate_hz: int,
) -> Hearing:
    """The original network on windows of 3 s every second.

    Its thresholds are taken from its own answers, however close together these are.
    """
    silent = {n.category: network.hear(n.pcm, rate_hz) for n in negatives}
    answers = np.concatenate([evidence.probabilities for evidence in silent.values()])
    above_all = float(np.nextafter(answers.max(), 1.0))
    quantiles = np.unique(np.quantile(answers, np.linspace(0.3, 1.0, 60))).tolist()
    return Hearing(
        name=ORIGINAL,
        threshold=0.5,
        sweep=tuple(sorted({*quantiles, above_all})),
        beeps=[network.hear(stream.pcm, rate_hz) for stream in streams],
        silent={category: [evidence] for category, evidence in silent.items()},
        note="trained on the same clips; windows of 3 s tell no pulses",
    )


def dev_threshold(hear: Hear, data: Path, rate_hz: int) -> float:
    """The lowest at which a detector gives no more than one false alarm an hour on dev."""
    streams = list(beep_streams(data, "dev", rate_hz, (20.0,), 1, 7))
    negatives = negative_streams(data, "dev", rate_hz)
    hearing = hear(streams, negatives)
    return lowest_threshold(hearing, hours_of(negatives, rate_hz), DEV_FALSE_ALARMS_PER_HOUR)
