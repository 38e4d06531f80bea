"""What somebody asks for, in the words of options and of a mapping file, made into a plan for one file."""

from pathlib import Path
from typing import cast

from customhouse.app.configuration import Configuration
from customhouse.app.upkeep.history.rows import Form, form_of
from customhouse.app.upkeep.history.run import Plan
from customhouse.app.upkeep.history.shape import MapFile, Shape, shape_of
from customhouse.model.errors import Misconfigured, Problem
from customhouse.settings import decode, load_yaml

STDIN = "-"


def shape_asked(maps: list[str], sets: list[str], map_file: Path | None) -> Shape:
    """Return how rows become events, by the mapping file first and then the options. Raises Misconfigured."""
    pairs: list[tuple[str, str]] = []
    constants: list[tuple[str, str]] = []
    if map_file is not None:
        written, found = load_yaml(map_file)
        kept, more = decode(MapFile, written, map_file.name) if not found else (None, [])
        if kept is None:
            raise Misconfigured(
                [*found, *more] or [Problem(map_file.name, "holds no mapping", "see docs/operations/import.md")]
            )
        pairs, constants = list(kept.map.items()), list(kept.set.items())
    for text, option, into in [*((m, "--map", pairs) for m in maps), *((s, "--set", constants) for s in sets)]:
        # A column may hold `=` itself, a field never does; of a constant it is the other way about.
        left, equals, right = text.rpartition("=") if option == "--map" else text.partition("=")
        if not equals or not left:
            raise Misconfigured(
                [Problem(f"{option} {text}", "has no `=`", "write COLUMN=FIELD, or FIELD=TEXT for --set")]
            )
        into.append((left, right))
    return shape_of(pairs, constants)


def plan_asked(name: str, form: str, source: str, shape: Shape, delimiter: str, *, undated: bool) -> Plan:
    """Return what is to be done with one file. Raises Misconfigured when its form cannot be told."""
    found = form or (form_of(name) if name != STDIN else "")
    if found not in ("jsonl", "csv"):
        hint = "say --format jsonl or --format csv"
        raise Misconfigured([Problem(name, "the ending does not say what the file holds", hint)])
    between = delimiter.replace("\\t", "\t") or ("\t" if ".tsv" in name.lower() else ",")
    if len(between) != 1:
        raise Misconfigured([Problem("--delimiter", "is one character", "such as ; or \\t")])
    return Plan(form=cast("Form", found), source=source, shape=shape, delimiter=between, undated=undated)


def known(configuration: Configuration, source: str) -> None:
    """Insist on a source that takes events. Raises Misconfigured."""
    there = configuration.sources.get(source)
    if there is None:
        hint = f"there are: {', '.join(configuration.sources)}"
        raise Misconfigured([Problem(f"--source {source}", "no such source is configured", hint)])
    if not there.enabled:
        raise Misconfigured(
            [Problem(f"--source {source}", "the source is switched off", "set enabled: true and reload")]
        )
