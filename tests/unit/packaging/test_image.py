"""
The image and the compose file, read and held to rules.

What this proves: every instruction can be read, files it copies are there and not ignored, and the least rights are
asked for. What it does not: that an engine builds and runs it. There is none here; its commands were run one by one.
"""

import importlib.util
import json
import re
import shlex
from fnmatch import fnmatch
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
KNOWN = {"ARG", "FROM", "ENV", "WORKDIR", "COPY", "RUN", "LABEL", "VOLUME", "EXPOSE", "USER", "STOPSIGNAL",
         "HEALTHCHECK", "ENTRYPOINT", "CMD"}  # fmt: skip
DRAIN = 70
"""Seconds: what the supervisor grants its processes one after the other, added up."""


def instructions(text):
    """Return the instructions of a Dockerfile as (word, rest), lines put together."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [tuple(line.split(None, 1)) for line in joined.splitlines()]


def stages(text):
    """Return the instructions of each stage; what stands before the first is left out."""
    found = []
    for word, rest in instructions(text):
        if word == "FROM":
            found.append([])
        if found:
            found[-1].append((word, rest))
    return found


@pytest.fixture(scope="module")
def dockerfile():
    return (ROOT / "Dockerfile").read_text()


def said(stage, word):
    return [rest for each, rest in stage if each == word]


def test_every_instruction_is_one_and_json_forms_are_json(dockerfile):
    for word, rest in instructions(dockerfile):
        assert word in KNOWN, word
        if word in ("ENTRYPOINT", "CMD", "VOLUME"):
            assert all(isinstance(each, str) for each in json.loads(rest))


def test_two_stages_from_a_version_that_is_pinned(dockerfile):
    build, final = stages(dockerfile)
    (version,) = [rest for word, rest in instructions(dockerfile) if word == "ARG"]
    name, _, tag = version.partition("=")
    assert re.fullmatch(r"3\.\d+-slim-[a-z]+", tag) and "latest" not in dockerfile
    assert build[0] == ("FROM", f"python:${{{name}}} AS build")
    assert final[0] == ("FROM", f"python:${{{name}}}")


def test_what_is_installed_is_held_to_hashes_and_nothing_is_compiled(dockerfile):
    build, final = stages(dockerfile)
    installs = re.findall(r"pip install ([^&]*)", " ".join(said(build, "RUN")))
    for install in installs:
        from_index = "--no-index" not in install
        assert not from_index or {"--require-hashes", "--only-binary=:all:"} <= set(shlex.split(install)), install
    assert len(installs) == 3
    assert "pip" not in " ".join(said(final, "RUN")), "what runs has no installer"


def test_it_runs_without_rights_and_says_whether_it_is_well(dockerfile):
    final = stages(dockerfile)[-1]
    assert said(final, "USER") == ["10001:10001"]
    after = final[[word for word, _ in final].index("USER") :]
    assert not {"RUN", "COPY"} & {word for word, _ in after}, "nothing is written once rights are given up"
    (health,) = said(final, "HEALTHCHECK")
    command = json.loads(health.partition("CMD ")[2])
    assert command == ["python", "/opt/customhouse/health.py"] and "--start-period" in health
    assert said(final, "STOPSIGNAL") == ["SIGTERM"]
    assert json.loads(said(final, "ENTRYPOINT")[0]) == ["customhouse"]
    assert json.loads(said(final, "VOLUME")[0]) == ["/workspace", "/data"]


def ignored(path):
    """Tell whether .dockerignore keeps a file from the builder; the last line that fits decides."""
    verdict = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        if not line or line.startswith("#"):
            continue
        hits = fnmatch(path, pattern.removeprefix("**/")) if pattern.startswith("**/") else False
        if hits or fnmatch(path, pattern) or path.startswith(f"{pattern}/"):
            verdict = not line.startswith("!")
    return verdict


def test_what_is_copied_is_there_and_secrets_and_data_are_not_sent(dockerfile):
    for stage in stages(dockerfile):
        for copied in said(stage, "COPY"):
            *sources, _ = copied.split()
            for source in (each for each in sources if not sources[0].startswith("--from")):
                assert (ROOT / source).exists(), source
                inside = next((ROOT / source).rglob("*.py")) if (ROOT / source).is_dir() else ROOT / source
                assert not ignored(str(inside.relative_to(ROOT))), source
    for private in ("examples/shop/.data/log/x", "shop/secrets/web.key", ".git/config", ".venv/bin/python", ".env"):
        assert ignored(private), private


def locked():
    spec = importlib.util.spec_from_file_location("locked", ROOT / "packaging/locked.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def needs(name, seen):
    """Return what an installed package needs, all the way down, without extras."""
    try:
        asked = requires(name) or []
    except PackageNotFoundError:  # for another system or Python
        return seen
    for each in asked:
        other = re.match(r"[A-Za-z0-9._-]+", each).group().lower().replace("_", "-").replace(".", "-")
        if "extra ==" not in each and other not in seen:
            needs(other, seen | {other})
            seen |= needs(other, {other})
    return seen


def test_the_image_gets_what_the_house_needs_and_no_tools():
    tool = locked()
    lock = tool.blocks((ROOT / "requirements.lock").read_text())
    names = tool.runtime((ROOT / "pyproject.toml").read_text())
    chosen = set(tool.needed(lock, names))
    present = {name for name in needs("customhouse", set()) if name in lock}
    assert present <= chosen
    assert not chosen & {"pytest", "mypy", "ruff", "hypothesis", "hatchling", "segment-analytics-python"}
    assert "hatchling" in tool.needed(lock, ["hatchling"])
    assert all("--hash=sha256:" in lock[name] for name in chosen)


def test_a_package_that_is_not_in_the_lock_is_an_error():
    tool = locked()
    lock = tool.blocks("a==1 \\\n    --hash=sha256:0\n    # via b\nb==2\n    # via\n    #   c\n    #   d-e\nd_e==1\n")
    assert tool.needed(lock, ["D.E"]) == ["a", "b", "d-e"]
    with pytest.raises(KeyError):
        tool.needed(lock, ["c"])


def test_compose_asks_for_the_least():
    document = yaml.safe_load((ROOT / "compose.yaml").read_text())
    assert set(document) == {"name", "services"}
    (service,) = document["services"].values()
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"] and "cap_add" not in service and "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert not service["image"].endswith(":latest") and ":" in service["image"]
    assert int(service["stop_grace_period"].removesuffix("s")) > DRAIN
    assert service["healthcheck"]["test"] == ["CMD", "python", "/opt/customhouse/health.py"]
    assert service["volumes"] == ["./workspace:/workspace:ro", "${CUSTOMHOUSE_DATA_FOLDER:-./data}:/data"]
    assert {"pids_limit", "mem_limit", "restart", "logging"} <= set(service)
    assert not [value for value in service["environment"].values() if not value.startswith("${")], (
        "no secret stands here"
    )


def test_compose_image_is_this_version():
    import tomllib

    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    document = yaml.safe_load((ROOT / "compose.yaml").read_text())
    assert document["services"]["customhouse"]["image"] == f"customhouse:{version}"


def test_the_drain_is_what_the_supervisor_grants():
    from customhouse.cli.supervise import _DRAIN_SECONDS

    assert sum(_DRAIN_SECONDS.values()) == DRAIN
