"""Fetches what /docs and /redoc show, so that no browser asks another host for it.

`python scripts/vendor_docs.py` writes the files under app/static/docs and LICENSES.md beside them;
`--check` writes nothing and fails if one of them differs from what npm would give. Both need npm and its registry.
A package is taken only if its archive has the SHA-512 pinned here.
"""

import argparse
import base64
import hashlib
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

TARGET = Path(__file__).parent.parent / "app" / "static" / "docs"
NOTES = "LICENSES.md"


@dataclass(frozen=True, eq=False)
class Change:
    """A replacement in a vendored file; it must match exactly once, or the new version needs a look."""

    name: str
    old: str
    new: str
    why: str


@dataclass(frozen=True, eq=False)
class Package:
    """One npm package: which version, what its archive hashes to, which of its files are kept and under what name."""

    name: str
    version: str
    licence: str
    integrity: str
    files: dict[str, str]
    changes: tuple[Change, ...] = ()


PACKAGES = (
    Package(
        name="swagger-ui-dist",
        version="5.35.0",
        licence="Apache-2.0",
        integrity="sha512-U06rpMtW9V3XPGOBeamTUSr0Z09jMX4IJuANpE/EZbAhw0G8CgwrzU4YmXkn/h0wCDNsXdGarTNNHC3sU8yVUQ==",
        files={
            "swagger-ui-bundle.js": "swagger-ui-bundle.js",
            "swagger-ui-bundle.js.LICENSE.txt": "swagger-ui-bundle.js.LICENSE.txt",
            "swagger-ui.css": "swagger-ui.css",
            "favicon-32x32.png": "favicon-32x32.png",
            "LICENSE": "swagger-ui.LICENSE.txt",
            "NOTICE": "swagger-ui.NOTICE.txt",
        },
    ),
    Package(
        name="redoc",
        version="2.5.4",
        licence="MIT",
        integrity="sha512-M6jWhG1qoBnH6TFmzJnstyCZ87HmOY/UzDm78mHiYihEdlV/YcS9ogOo1NlElnJMeLsyxHFe2yFc4sNjHTrABQ==",
        files={
            "bundles/redoc.standalone.js": "redoc.standalone.js",
            "bundles/redoc.standalone.js.LICENSE.txt": "redoc.standalone.js.LICENSE.txt",
            "LICENSE": "redoc.LICENSE.txt",
        },
        changes=(
            Change(
                name="redoc.standalone.js",
                old='n.createElement("img",{alt:"redocly logo",onError:()=>t(!1),src:"https://cdn.redoc.ly/redoc/logo-mini.svg"})',
                new="null",
                why="Redoc fetches its logo from cdn.redoc.ly and has no option against it; the link it stood in stays",
            ),
            Change(
                name="redoc.standalone.js",
                old="r.nc=void 0;",
                new="r.nc=document.currentScript.nonce;",
                why="It writes style elements while it loads, before its option `nonce` can be set; now all of them carry it",
            ),
        ),
    ),
)


def fetch(package: Package, folder: Path) -> Path:
    """The package's archive, fetched by npm and checked."""
    wanted = f"{package.name}@{package.version}"
    command = ["npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", str(folder), wanted]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    archive = folder / f"{package.name}-{package.version}.tgz"
    found = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if found != package.integrity:
        sys.exit(f"{wanted}: the archive is {found}, not {package.integrity}")
    return archive


def unpack(package: Package, archive: Path) -> dict[str, bytes]:
    """The files that are kept, by their name here."""
    kept: dict[str, bytes] = {}
    with tarfile.open(archive) as tar:
        for member, name in package.files.items():
            stream = tar.extractfile(f"package/{member}")
            if stream is None:
                sys.exit(f"{package.name}: {member} is no file")
            kept[name] = stream.read()
    for change in package.changes:
        old = change.old.encode()
        if (times := kept[change.name].count(old)) != 1:
            sys.exit(f"{change.name}: found {times} times what should be replaced once: {change.old}")
        kept[change.name] = kept[change.name].replace(old, change.new.encode())
    return kept


def notes(vendored: dict[Package, dict[str, bytes]]) -> str:
    """What LICENSES.md says."""
    lines = [
        "# Vendored files of /docs and /redoc",
        "",
        "Written by `python scripts/vendor_docs.py`; don't edit. It fetches each package with `npm pack`, checks the",
        "archive against the SHA-512 pinned in the script, and keeps the files below. `--check` compares them again.",
        "`docs.css` and the `start-*.js` files are ours, under Authkeep's own licence.",
    ]
    for package, files in vendored.items():
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
        lines += [
            "",
            f"## {package.name} {package.version} ({package.licence})",
            "",
            f"Archive: `{package.integrity}`",
            "",
            "| file | bytes | SHA-256 |",
            "|---|---|---|",
            *(f"| `{name}` | {len(files[name])} | `{digests[name]}` |" for name in sorted(files)),
        ]
        for change in package.changes:
            lines += ["", f"Changed: in `{change.name}`, `{change.old}` is now `{change.new}`. {change.why}."]
    return "\n".join(lines) + "\n"


def collect() -> dict[str, bytes]:
    """Every file to have, by name."""
    vendored: dict[Package, dict[str, bytes]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for package in PACKAGES:
            vendored[package] = unpack(package, fetch(package, Path(folder)))
    files = {name: data for kept in vendored.values() for name, data in kept.items()}
    return files | {NOTES: notes(vendored).encode()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file differs")
    check = parser.parse_args().check
    wrong = []
    for name, data in collect().items():
        path = TARGET / name
        if path.is_file() and path.read_bytes() == data:
            continue
        wrong.append(name)
        if not check:
            TARGET.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    print("\n".join(f"{'differs' if check else 'written'}: {name}" for name in wrong) or "all as pinned")
    sys.exit(1 if check and wrong else 0)


if __name__ == "__main__":
    main()
