"""What a synthetic voice is to say, in whose voice, how high and how fast."""

import msgspec
from numpy.random import Generator

SENTENCES: dict[str, tuple[str, ...]] = {
    "en-gb": (
        "Where did you put the blue towels?", "No, no, no! That one is mine!", "Come on, quick!",
        "The kettle is on, and the bread is still in the oven.", "Mummy! Look what I found!",
        "I told you twice already, it is under the stairs.", "Oh dear, what a mess.",
    ),
    "en-us": (
        "Hey! Wait for me!", "Do you want cheese on that, or nothing?", "Stop it, right now!",
        "It rained all week and the yard is a swamp.", "Yes! Yes! We won!", "Who is at the door?",
    ),
    "de": (
        "Wo sind denn meine Socken?", "Nein, das will ich nicht!", "Komm mal schnell her!",
        "Die Wäsche ist noch nass, häng sie bitte auf.", "Guck mal, ein Regenbogen!",
    ),
    "fr": (
        "Où est passé le chat ?", "Arrête, ça suffit maintenant !", "Maman, regarde !",
        "On mange dans dix minutes, lavez-vous les mains.", "Oh là là, quelle journée.",
    ),
    "es": (
        "¿Dónde están las llaves?", "¡Ven aquí, rápido!", "¡Mira, mamá, un pájaro!",
        "Mañana vamos al mercado a comprar fruta.", "¡Qué bien, qué bien!",
    ),
    "it": (
        "Dove hai messo le forbici?", "Basta, adesso si dorme!", "Guarda che bello!",
        "La pasta è quasi pronta, venite a tavola.",
    ),
    "nl": ("Waar is mijn fiets gebleven?", "Kijk eens wat ik kan!", "Nee, dat mag niet!"),
    "pl": ("Gdzie są moje buty?", "Chodź tutaj, szybko!", "Nie, nie chcę spać!"),
    "pt": ("Onde está o meu casaco?", "Olha só o que eu fiz!", "Anda cá, depressa!"),
    "sv": ("Var är mina vantar?", "Titta, det snöar!", "Nej, jag vill inte!"),
    "fi": ("Missä minun laukkuni on?", "Tule tänne, äkkiä!", "Katso, lunta!"),
    "tr": ("Anahtarlar nerede?", "Hadi, çabuk gel!", "Bak, ne buldum!"),
    "ru": ("Где мои ключи?", "Иди сюда, скорее!", "Смотри, снег идёт!"),
    "cmn": ("你在哪里?", "快点过来!", "今天天气很好。"),
    "ja": ("どこにいるの?", "はやくきて!", "みて、とりだよ!"),
}  # fmt: skip
NUMBERS = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10!"
# Phoneme names of espeak-ng between double brackets; a colon makes a vowel long.
CRIES = (
    "[[a:a:a:a:a:]]!", "[[i:i:i:i:]]!", "[[u:u:u:u:]]!", "[[e:e:e:e:]]?", "[[o:o:o:o:o:]]!",
    "[[wa:a:a:'i:i:i:]]!", "[[m'a:m'a:a:a:]]!", "[[h'ah'ah'ah'ah'a]]!", "[[j'u:h'u:u:u:]]!",
    "[[p'i:p p'i:p]]!", "[[l'alal'alal'a:a:]].",
)  # fmt: skip
VARIANTS = ("", "+f1", "+f2", "+f3", "+f4", "+f5", "+m1", "+m3", "+m7", "+klatt", "+klatt4",
            "+whisper", "+croak", "+Annie", "+linda", "+steph")  # fmt: skip


class Utterance(msgspec.Struct, frozen=True, kw_only=True):
    """One thing said."""

    text: str
    voice: str  # language and variant
    pitch: int  # 0 to 99
    words_per_minute: int
    raised: float  # everything so many times higher and faster
    pause_s: float  # after it


def draw_utterances(rng: Generator) -> tuple[Utterance, ...]:
    """One person for about ten seconds: sentences, counting, cries; every other one a child."""
    languages = list(SENTENCES)
    language = languages[int(rng.integers(len(languages)))]
    voice = language + VARIANTS[int(rng.integers(len(VARIANTS)))]
    child = rng.random() < 0.5
    raised = float(rng.uniform(1.2, 1.9)) if child else float(rng.uniform(0.9, 1.15))
    sentences = SENTENCES[language]
    utterances = []
    for _ in range(7):
        kind = rng.random()
        if kind < 0.45:
            text = sentences[int(rng.integers(len(sentences)))]
        elif kind < 0.55:
            text = NUMBERS
        else:
            text = CRIES[int(rng.integers(len(CRIES)))]
        utterances.append(
            Utterance(
                text=text,
                voice=voice,
                pitch=int(rng.integers(50, 100) if child else rng.integers(20, 90)),
                words_per_minute=int(rng.integers(80, 170) if child else rng.integers(90, 221)),
                raised=raised,
                pause_s=float(rng.uniform(0.05, 0.7)),
            )
        )
    return tuple(utterances)
