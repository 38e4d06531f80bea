"""A secret that cannot be printed by accident: keys and tokens travel as this from the configuration to their one use."""


class Secret:
    """Text that shows itself only to who asks by name."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """Keep the text."""
        self._text = text

    def reveal(self) -> str:
        """Return the text, at the one place where it is used."""
        return self._text

    def __repr__(self) -> str:
        """Say that there is a secret, not which."""
        return "Secret(…)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        """Compare by text."""
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        """Hash by text."""
        return hash(self._text)
