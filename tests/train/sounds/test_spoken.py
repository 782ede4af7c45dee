"""One person says about seven things, in one voice and language."""

import numpy as np

from beepwatch.train.sounds import spoken


def test_a_child_speaks_higher_than_its_voice() -> None:
    rng = np.random.default_rng(0)
    raised = [spoken.draw_utterances(rng)[0].raised for _ in range(100)]
    assert 30 <= sum(factor >= 1.2 for factor in raised) <= 70
    assert max(raised) <= 1.9


def test_a_person_keeps_to_one_voice_and_its_language() -> None:
    rng = np.random.default_rng(0)
    heard: set[str] = set()
    for _ in range(300):
        utterances = spoken.draw_utterances(rng)
        assert len(utterances) == 7
        assert len({(one.voice, one.raised) for one in utterances}) == 1
        language, plus, variant = utterances[0].voice.partition("+")
        heard |= {language, plus + variant}
        said = {*spoken.SENTENCES[language], *spoken.CRIES, spoken.NUMBERS}
        assert {one.text for one in utterances} <= said
    assert heard == {*spoken.SENTENCES, *spoken.VARIANTS}


def test_pitch_pace_and_pauses_are_what_the_voice_takes() -> None:
    """espeak-ng: pitch 0 to 99, words a minute from 80 on."""
    rng = np.random.default_rng(1)
    drawn = [one for _ in range(100) for one in spoken.draw_utterances(rng)]
    assert all(20 <= one.pitch <= 99 for one in drawn)
    assert all(80 <= one.words_per_minute <= 220 for one in drawn)
    assert all(0.05 <= one.pause_s <= 0.7 for one in drawn)
    children = [one for one in drawn if one.raised >= 1.2]
    assert min(one.pitch for one in children) >= 50
    assert max(one.words_per_minute for one in children) < 170


def test_sentences_numbers_and_cries_are_all_heard() -> None:
    rng = np.random.default_rng(2)
    drawn = [one.text for _ in range(200) for one in spoken.draw_utterances(rng)]
    cries = sum(text in spoken.CRIES for text in drawn) / len(drawn)
    assert abs(drawn.count(spoken.NUMBERS) / len(drawn) - 0.1) < 0.03
    assert abs(cries - 0.45) < 0.05
    assert all(sentences for sentences in spoken.SENTENCES.values())
