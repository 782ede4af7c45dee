"""How numbers of things are said."""


def counted(count: int, noun: str) -> str:
    """ "no pulses", "1 pulse", "3 pulses"; for nouns that take an s."""
    if count == 1:
        return f"1 {noun}"
    return f"{count or 'no'} {noun}s"
