"""Fetches axe-core, which the tests of the account pages run in Chromium, with its licence (MPL-2.0).

`python -m scripts.vendor_axe` writes the files under tests/account/axe; `--check` writes nothing and fails if one differs.
Needs npm and its registry; the archive is taken only if it has the SHA-512 pinned here.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from scripts.vendor_docs import Package, fetch, unpack

TARGET = Path(__file__).parent.parent / "tests" / "account" / "axe"
AXE = Package(
    name="axe-core",
    version="4.14.1",
    licence="MPL-2.0",
    integrity="sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
    files={
        "axe.min.js": "axe.min.js",
        "LICENSE": "LICENSE.txt",
        "LICENSE-3RD-PARTY.txt": "LICENSE-3RD-PARTY.txt",
    },
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file differs")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as folder:
        files = unpack(AXE, fetch(AXE, Path(folder)))
    wrong = [name for name, data in files.items() if not (TARGET / name).is_file() or (TARGET / name).read_bytes() != data]
    if not check:
        TARGET.mkdir(parents=True, exist_ok=True)
        for name in wrong:
            (TARGET / name).write_bytes(files[name])
    print("\n".join(f"{'differs' if check else 'written'}: {name}" for name in wrong) or "all as pinned")
    sys.exit(1 if check and wrong else 0)


if __name__ == "__main__":
    main()
