"""
A YAML file as plain data: mappings with text keys, lists, text, numbers, true, false and null.

YAML holds surprises that a configuration should not: `on` read as true, `0777` read in base eight, a key given twice of
which one silently wins, a few lines of aliases that unfold into gigabytes, tags that build objects. So this reads the
parser's events itself, by the rules of YAML 1.2, without recursion, and reports what is ambiguous instead of guessing.
"""

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from customhouse.model.errors import Problem

if TYPE_CHECKING:
    import yaml

LARGEST = 1024 * 1024
"""Bytes of one file."""
DEEPEST = 64
"""Levels of nesting."""
MOST_NODES = 200_000
"""Values in one file after aliases are unfolded."""

_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_WHOLE = re.compile(r"[-+]?[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+")


def load_yaml(path: Path, place: str = "") -> tuple[Any, list[Problem]]:
    """
    Read a YAML file. `place` is how problems name it (its file name by default); they add line and column.

    The data is None when the file cannot be understood at all; otherwise it may be decoded further, so that one run
    tells everything that is wrong. An empty file is None without a problem.
    """
    name = place or path.name
    try:
        if not path.is_file():
            return None, [Problem(name, "there is no such file")]
        with path.open("rb") as file:
            body = file.read(LARGEST + 1)
    except OSError as error:
        return None, [Problem(name, f"cannot be read: {error.strerror}")]
    if len(body) > LARGEST:
        return None, [Problem(name, f"is over {LARGEST} bytes", "split it, or remove what is not configuration")]
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return None, [Problem(name, f"is not UTF-8 at byte {error.start}", "save it as UTF-8")]
    return parse_yaml(text, name)


def parse_yaml(text: str, place: str) -> tuple[Any, list[Problem]]:
    """Read YAML text as `load_yaml` reads a file."""
    import yaml

    composer = _Composer(place)
    try:
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            composer.take(event)
    except _Stopped:
        return None, composer.problems
    except yaml.MarkedYAMLError as error:
        words = ", ".join(part for part in (error.context, error.problem) if part)
        composer.problem(error.problem_mark or error.context_mark, words or "is not YAML")
        return None, composer.problems
    except yaml.YAMLError:
        composer.problem(None, "holds a character that YAML does not allow", "look for control characters")
        return None, composer.problems
    return composer.result, composer.problems


class _Stopped(Exception):
    """Nothing sensible can be read after this."""


class _Open:
    """A mapping or list that is not finished yet."""

    __slots__ = ("anchor", "data", "key", "lines", "size")

    def __init__(self, data: dict[str, Any] | list[Any], anchor: str | None) -> None:
        self.data = data
        self.anchor = anchor
        self.size = 1
        self.key: str | None = None
        self.lines: dict[str, int] = {}


class _Composer:
    """Builds plain data from parser events."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.problems: list[Problem] = []
        self.result: Any = None
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._documents = 0

    def problem(self, mark: Any, message: str, hint: str = "") -> None:
        where = f"{self.place}:{mark.line + 1}:{mark.column + 1}" if mark is not None else self.place
        self.problems.append(Problem(where, message, hint))

    def stop(self, mark: Any, message: str, hint: str = "") -> _Stopped:
        self.problem(mark, message, hint)
        return _Stopped()

    def take(self, event: "yaml.Event") -> None:
        """Take the next event of the parser."""
        match type(event).__name__:
            case "ScalarEvent":
                self._scalar(event)
            case "MappingStartEvent":
                self._begin({}, event)
            case "SequenceStartEvent":
                self._begin([], event)
            case "MappingEndEvent" | "SequenceEndEvent":
                done = self._open.pop()
                self._put(done.data, done.size, done.anchor, event.start_mark)
            case "AliasEvent":
                self._alias(event)
            case "DocumentStartEvent":
                self._documents += 1
                if self._documents > 1:
                    raise self.stop(event.start_mark, "a second document begins here", "keep one document per file")

    def _begin(self, data: dict[str, Any] | list[Any], event: Any) -> None:
        if self._awaits_key():
            raise self.stop(event.start_mark, "a key must be text, not a mapping or a list")
        if len(self._open) >= DEEPEST:
            raise self.stop(event.start_mark, f"nested deeper than {DEEPEST} levels")
        self._check_tag(event)
        if event.anchor is not None:
            self._anchors.pop(event.anchor, None)
        self._open.append(_Open(data, event.anchor))

    def _alias(self, event: Any) -> None:
        if self._awaits_key():
            raise self.stop(event.start_mark, "a key must be text, not an alias")
        if event.anchor not in self._anchors:
            raise self.stop(event.start_mark, f"the alias *{event.anchor} names nothing that is complete before it")
        value, size = self._anchors[event.anchor]
        self._put(value, size, None, event.start_mark)

    def _scalar(self, event: Any) -> None:
        self._check_tag(event)
        if self._awaits_key():
            self._key(event)
            return
        plain = event.implicit[0] and event.tag is None
        self._put(
            self._resolve(event.value, event.start_mark) if plain else event.value, 1, event.anchor, event.start_mark
        )

    def _awaits_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1].data, dict) and self._open[-1].key is None

    def _key(self, event: Any) -> None:
        """Keys are the text that stands there: `on` and `1` are themselves."""
        top = self._open[-1]
        key, line = event.value, event.start_mark.line + 1
        if key == "<<" and event.implicit[0]:
            self.problem(event.start_mark, "merge keys (`<<`) are not part of YAML 1.2", "write the entries out")
        if key in top.lines:
            hint = f"it stands in line {top.lines[key]} already; keep one of them"
            self.problem(event.start_mark, "the same key twice", hint)
        top.lines[key] = line
        top.key = key

    def _check_tag(self, event: Any) -> None:
        if event.tag not in (None, "!"):
            self.problem(event.start_mark, "tags (`!…`) are not allowed", "write plain values; quotes make text")

    def _put(self, value: Any, size: int, anchor: str | None, mark: Any) -> None:
        """Give a finished value to what contains it."""
        if anchor is not None:
            self._anchors[anchor] = (value, size)
        if not self._open:
            self.result = value
            return
        top = self._open[-1]
        top.size += size
        if top.size > MOST_NODES:
            raise self.stop(mark, f"holds more than {MOST_NODES} values", "aliases count as what they stand for")
        if isinstance(top.data, list):
            top.data.append(value)
        elif top.key is not None:
            top.data[top.key] = value
            top.key = None

    def _resolve(self, text: str, mark: Any) -> Any:
        """Return what an unquoted value means by the core schema of YAML 1.2."""
        if text in _WORDS:
            return _WORDS[text]
        if _LEADING_ZERO.fullmatch(text):
            self.problem(mark, "a number with a leading zero means different things to different readers", "quote it")
            return int(text[:20])
        if _WHOLE.fullmatch(text):
            value = int(text, 0) if len(text) <= 20 else 2**64
            if -(2**63) <= value < 2**63:
                return value
        elif _NUMBER.fullmatch(text):
            number = float(text)
            if math.isfinite(number):
                return number
        elif not _NOT_FINITE.fullmatch(text):
            return text
        self.problem(mark, "the number is too large, or not a number", "quote it when it is meant as text")
        return None
