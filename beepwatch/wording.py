"""How numbers of things are said, and names that anybody may have given."""


def counted(count: int, noun: str) -> str:
    """ "no pulses", "1 pulse", "3 pulses"; for nouns that take an s."""
    if count == 1:
        return f"1 {noun}"
    return f"{count or 'no'} {noun}s"


def printable(text: str) -> str:
    """The text on one line, with escapes for what would end it or steer a terminal."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
