import base64
import hashlib
import json
import os

import pytest
from house import House, customhouse

from customhouse.collector.front import files
from customhouse.model.errors import Misconfigured


@pytest.fixture
def sdk(tmp_path):
    path = tmp_path / "dist" / "analytics.min.js"
    path.parent.mkdir()
    path.write_bytes(b"var analytics = 1;\n")
    return path


def problem(*args):
    with pytest.raises(Misconfigured) as caught:
        files.add(*args)
    (found,) = caught.value.problems
    assert found.hint
    return found.message


def test_a_file_is_kept_under_a_name_with_its_hash(tmp_path, sdk):
    folder = tmp_path / "sdk"
    kept = files.add(folder, sdk, "analytics.js", 7)
    digest = hashlib.sha384(sdk.read_bytes())
    assert kept.sha384 == base64.b64encode(digest.digest()).decode()
    assert kept.file == f"analytics.{digest.hexdigest()[:12]}.js"
    assert files.load(folder) == ([(kept, sdk.read_bytes())], [])
    assert sorted(path.name for path in folder.iterdir()) == sorted([kept.file, "manifest.json"])
    assert json.loads((folder / "manifest.json").read_text())["format"] == 1


def test_a_newer_file_of_a_name_stands_behind_the_older_one(tmp_path, sdk):
    folder = tmp_path / "sdk"
    first = files.add(folder, sdk, "a.js", 1)
    sdk.write_bytes(b"newer")
    second = files.add(folder, sdk, "a.js", 2)
    assert [kept.file for kept in files.manifest(folder).files] == [first.file, second.file]
    sdk.write_bytes(b"var analytics = 1;\n")
    files.add(folder, sdk, "a.js", 3)  # back to the first
    assert [kept.file for kept in files.manifest(folder).files] == [second.file, first.file]
    assert files.remove(folder, second.file) == (second,)
    assert [kept.file for kept in files.remove(folder, "a.js")] == [first.file]
    assert [path.name for path in folder.iterdir()] == ["manifest.json"]


@pytest.mark.parametrize(
    "name", ["../a.js", "a/b.js", "a.html", ".js", "", "a.js\n", "manifest.json", "x" * 101 + ".js"]
)
def test_a_name_is_a_plain_file_name_of_a_script(tmp_path, sdk, name):
    assert problem(tmp_path / "sdk", sdk, name, 1) == "this is no name for an SDK file"


def test_files_are_bounded_in_size_and_number(tmp_path, sdk):
    folder = tmp_path / "sdk"
    sdk.write_bytes(b"x" * (files.MOST_BYTES + 1))
    assert "larger than" in problem(folder, sdk, "a.js", 1)
    sdk.write_bytes(b"")
    assert "empty" in problem(folder, sdk, "a.js", 1)
    assert "no such file" in problem(folder, tmp_path, "a.js", 1)
    for nth in range(files.MOST_FILES):
        sdk.write_bytes(b"%d" % nth)
        files.add(folder, sdk, "a.js", nth)
    sdk.write_bytes(b"one more")
    assert "20 SDK files already" in problem(folder, sdk, "a.js", 1)
    sdk.write_bytes(b"3")
    files.add(folder, sdk, "a.js", 99)  # one that is there may be added again


def test_a_name_is_not_taken_that_is_anothers_with_its_hash(tmp_path, sdk):
    kept = files.add(tmp_path / "sdk", sdk, "a.js", 1)
    sdk.write_bytes(b"other")
    assert "very name" in problem(tmp_path / "sdk", sdk, kept.file, 1)


def test_what_is_not_as_the_list_says_is_not_served(tmp_path, sdk):
    folder = tmp_path / "sdk"
    good = files.add(folder, sdk, "good.js", 1)
    for name, body in (("changed.js", b"1"), ("gone.js", b"2"), ("pipe.js", b"3")):
        sdk.write_bytes(body)
        kept = files.add(folder, sdk, name, 1)
        (folder / kept.file).unlink()
        if name == "changed.js":
            (folder / kept.file).write_bytes(b"something else")
        elif name == "pipe.js":
            os.mkfifo(folder / kept.file)
    found, broken = files.load(folder)
    assert [kept for kept, _ in found] == [good]
    assert len(broken) == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"format":2,"files":[]}', "format 2"),
        ("{", "cannot be read"),
        ('{"format":1,"files":[{"name":"../x.js","file":"x.js","sha384":"","size":1,"added_at":1}]}', "by hand"),
        (" " * 70_000, "cannot be read"),
    ],
)
def test_a_list_that_is_not_ours_is_refused_in_words(tmp_path, sdk, text, said):
    folder = tmp_path / "sdk"
    files.add(folder, sdk, "a.js", 1)
    (folder / "manifest.json").write_text(text)
    with pytest.raises(Misconfigured) as caught:
        files.load(folder)
    (found,) = caught.value.problems
    assert said in found.message
    assert found.hint


def test_the_command_line_adds_lists_and_removes(tmp_path, sdk):
    house = House(tmp_path / "shop", listen={"prefixes": ["/journal"]})
    told = house.cli_json("sdk", "add", str(sdk), "--name", "analytics.js")
    integrity = "sha384-" + base64.b64encode(hashlib.sha384(sdk.read_bytes()).digest()).decode()
    assert told["src"] == f"/journal/sdk/{told['file']}"
    assert told["html"] == f'<script src="{told["src"]}" integrity="{integrity}" crossorigin="anonymous"></script>'
    assert house.cli_json("sdk", "list") == [told]
    said = house.cli("sdk", "list").stdout
    assert told["html"] in said
    house.write(listen={"port": 18080})
    assert house.cli_json("sdk", "list")[0]["src"] == f"http://127.0.0.1:18080/sdk/{told['file']}"
    assert house.cli_json("sdk", "remove", "analytics.js") == {"removed": [told["file"]]}
    assert house.cli_json("sdk", "list") == []
    missing = house.cli("sdk", "remove", "analytics.js")
    assert (missing.returncode, "sdk list" in missing.stderr) == (2, True)
    refused = customhouse("sdk", "add", "nothing.js", "--workspace", str(house.folder), folder=tmp_path)
    assert (refused.returncode, "no such file" in refused.stderr) == (2, True)


def test_bad_prefixes_cookies_and_lists_are_problems_of_the_configuration(tmp_path, sdk):
    house = House(tmp_path / "shop", listen={"prefixes": ["journal"], "cookie": {"same_site": "none", "secure": False}})
    files.add(house.folder / "sdk", sdk, "a.js", 1)
    (house.folder / "sdk" / "manifest.json").write_text("{")
    found = house.cli_json("check", codes=(2,))["problems"]
    places = [each["place"] for each in found]
    assert places[:2] == ["customhouse.yaml: listen.prefixes[0]", "customhouse.yaml: listen.cookie.secure"]
    assert places[2].endswith("manifest.json")
    assert all(each["hint"] for each in found)


def test_a_prefix_without_a_trusted_proxy_is_probably_not_meant(tmp_path):
    house = House(tmp_path / "shop", listen={"prefixes": ["/journal"]})
    doubts = house.cli_json("check")["warnings"]
    assert "customhouse.yaml: listen.trusted_proxies" in [each["place"] for each in doubts]
    house.write(listen={"prefixes": ["/journal"], "trusted_proxies": ["127.0.0.1/32"]})
    doubts = house.cli_json("check")["warnings"]
    assert "customhouse.yaml: listen.trusted_proxies" not in [each["place"] for each in doubts]
