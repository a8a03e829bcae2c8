"""Whether options are of their types. Their values are checked by the engine."""

from __future__ import annotations

from .errors import InvalidOption

__all__ = ["expect", "expect_text"]


def expect(name: str, value: object, wanted: str, kinds: tuple[type, ...]) -> None:
    """Checks the type of an option. The message has no values: one may be a token.

    Raises:
        InvalidOption: It is of another type.
    """
    # A truth value is an int, but nobody means one of 1 s.
    is_wrong_bool = isinstance(value, bool) and bool not in kinds
    if not isinstance(value, kinds) or is_wrong_bool:
        raise InvalidOption(f"{name}: expected {wanted}, got {type(value).__name__}")


def expect_text(name: str, value: object) -> None:
    """Checks that an option is text, and Unicode.

    Raises:
        InvalidOption: It is not.
    """
    expect(name, value, "text", (str,))
    try:
        str(value).encode()
    except UnicodeEncodeError:
        raise InvalidOption(
            f"{name}: the text holds half a surrogate pair, which is not Unicode"
        ) from None
