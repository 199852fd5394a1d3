"""Foreign text in messages: not too much of it, and nothing that moves a cursor."""

_MAX_SHOWN = 100


def printable(text: str) -> str:
    """Put a question mark for every character that is more than a mark on the screen."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter == "\t" else "?" for letter in text)


def excerpt(text: str) -> str:
    """The beginning of a text, printable."""
    return printable(text.rstrip("\r") if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "...")
