"""
Fetches what the console serves of others' work, as `vendor.toml` beside it says, and writes the hashes down.

Usage: python tools/vendor.py (maintainers; needs npm). Change a version in vendor.toml first, read the changes after.
"""

import hashlib
import re
import subprocess
import tarfile
import tempfile
import tomllib
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "src/customhouse/console/static/vendor"


def fetch(package: str, version: str, scratch: Path) -> Path:
    """Unpack one version of a package, and return its folder."""
    done = subprocess.run(
        ["npm", "pack", "--silent", f"{package}@{version}"], cwd=scratch, capture_output=True, text=True, check=True
    )
    folder = scratch / f"{package}-{version}"
    with tarfile.open(scratch / done.stdout.strip().splitlines()[-1]) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package"


def main() -> None:
    """Fetch every file of the list."""
    listed = FOLDER / "vendor.toml"
    text = listed.read_text()
    with tempfile.TemporaryDirectory() as scratch:
        for entry in tomllib.loads(text)["file"]:
            package = fetch(entry["package"], entry["version"], Path(scratch))
            content = (package / entry["path"]).read_bytes()
            (FOLDER / entry["name"]).write_bytes(content)
            licence = next(path for path in package.iterdir() if path.name.upper().startswith("LICENSE"))
            (FOLDER / entry["licence_file"]).write_bytes(licence.read_bytes())
            digest = hashlib.sha256(content).hexdigest()
            text = re.sub(
                rf'(name = "{re.escape(entry["name"])}".*?sha256 = ")[^"]*', rf"\g<1>{digest}", text, flags=re.DOTALL
            )
            print(f"{entry['name']}  {entry['package']} {entry['version']}  {len(content):,} bytes")
    listed.write_text(text)


if __name__ == "__main__":
    main()
