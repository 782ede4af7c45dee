"""How numbers of things are said, and names that anybody may have given."""

_GROUPED = 10_000  # from here on thousands are set apart


def counted(count: int, noun: str) -> str:
    """ "no pulses", "1 pulse", "3 pulses", "10,000 pulses"; for nouns that take an s."""
    if count == 1:
        return f"1 {noun}"
    number = f"{count:,}" if count >= _GROUPED else str(count or "no")
    return f"{number} {noun}s"


def printable(text: str) -> str:
    """The text on one line, with escapes for what would end it or steer a terminal."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
