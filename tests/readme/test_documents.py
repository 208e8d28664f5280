"""The documents are true: settings, endpoints, errors, facts, dependencies, log lines, links, commands."""

import importlib
import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from secrets import token_urlsafe

import pytest
from dotenv import dotenv_values
from typer.models import CommandInfo

import app as package
from app.audit.facts import Fact
from app.cli.app import cli
from app.cli.users import cli as users
from app.config import Settings, SettingsError, load_settings
from app.core.errors import AppError
from app.core.settings_shown import warnings
from app.main import create_app
from scripts import settings_table
from tests.asvs.source import imports_in, trees
from tests.support.processes import ROOT
from tests.support.stacks import settings_env, sqlite_url

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
ROW = re.compile(r"^\| `([^`]+)` \|(.*)\|$", re.MULTILINE)
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NOT_OURS = {"error"}  # AppError itself, which nothing raises


def read(name: str) -> str:
    return (ROOT / name).read_text()


def section(text: str, title: str) -> str:
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_the_settings_table_and_the_env_example_are_made_from_the_settings() -> None:
    assert not settings_table.stale(), "python -m scripts.settings_table --write"


def test_the_readme_and_the_env_example_name_every_setting() -> None:
    names = set(Settings.model_fields)
    assert {name for name, _ in ROW.findall(section(read("README.md"), "Settings"))} == names
    assert set(re.findall(r"^(?:# )?([A-Z][A-Z_]+)=", read(".env.example"), re.MULTILINE)) == names


def test_a_changed_setting_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings_table, "table", lambda: "something else")
    assert settings_table.README in settings_table.stale()


def test_the_env_example_as_it_is_does_not_start_a_server() -> None:
    with pytest.raises(SettingsError, match="SECRET_KEY: is not set"):
        load_settings({}, ROOT / ".env.example")


def test_the_env_example_with_two_secrets_is_complete(tmp_path: Path) -> None:
    filled = tmp_path / ".env"
    keys = settings_env("sqlite:///x.db")
    text = read(".env.example")
    for name in ("SECRET_KEY", "PASSWORD_RESET_TOKEN_SECRET"):
        text = text.replace(f"\n{name}=\n", f"\n{name}={keys[name]}\n")
    filled.write_text(text)
    assert load_settings({}, filled) == load_settings(
        {name: keys[name] for name in ("SECRET_KEY", "PASSWORD_RESET_TOKEN_SECRET")}, None
    )


def test_every_default_of_the_env_example_may_be_uncommented(tmp_path: Path) -> None:
    keys = settings_env("sqlite:///x.db")
    secrets = {name: keys[name] for name in ("SECRET_KEY", "PASSWORD_RESET_TOKEN_SECRET")}
    file = tmp_path / ".env"
    file.write_text(re.sub(r"^# ([A-Z][A-Z_]+=)", r"\1", read(".env.example"), flags=re.MULTILINE))
    assert len(dotenv_values(file)) == len(Settings.model_fields)
    assert load_settings(secrets, file) == load_settings(secrets, None)


def test_the_readme_lists_the_endpoints_there_are(tmp_path: Path) -> None:
    application = create_app(load_settings(settings_env(sqlite_url(tmp_path / "x.db")), None))
    there = {f"{method.upper()} {path}" for path, item in application.openapi()["paths"].items() for method in item}
    assert {call for call, _ in ROW.findall(section(read("README.md"), "Endpoints"))} == there


def errors() -> Iterator[type[AppError]]:
    """Every refusal there is, once all of the application is imported."""
    for module in pkgutil.walk_packages(package.__path__, "app."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    waiting = [AppError]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind.__module__.startswith("app."):
            yield kind


def test_api_md_names_every_error_code_with_its_status() -> None:
    there = {(kind.code, kind.status) for kind in errors() if kind.code not in NOT_OURS}
    there |= {("method_not_allowed", 405), ("internal_error", 500)}  # made by routing and by the last catch
    there -= {("sign_in_needed", 303)}  # of pages alone: a redirect
    told = {(code, int(rest.split("|")[0])) for code, rest in ROW.findall(section(read("docs/api.md"), "Errors"))}
    assert told == there


def test_audit_md_names_every_fact() -> None:
    text = read("docs/audit.md")
    assert {name for name, _ in ROW.findall(text) if name in set(Fact) or re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", name)} >= set(Fact)
    told = {name for name, _ in ROW.findall(text.partition("| fact |")[2].partition("\n\n")[0])}
    assert told == set(Fact)


def test_audit_md_names_every_log_line() -> None:
    source = "".join(path.read_text() for path in (ROOT / "app").rglob("*.py"))
    lines = set(re.findall(r"\blog\.(?:warning|error)\(\s*\"([a-z_.]+)\"", source))
    told = set(re.findall(r"`([a-z_.]+)`", section(read("docs/audit.md"), "Log lines")))
    assert lines
    assert lines <= told
    assert told <= set(re.findall(r"\"([a-z_.]+)\"", source))


def test_dependencies_md_gives_a_reason_for_each_dependency_and_the_version_that_is_pinned() -> None:
    lines = [line for line in read("requirements.in").splitlines() if line and not line.startswith("#")]
    direct = {line.partition(";")[0].strip() for line in lines}
    rows = dict(ROW.findall(read("docs/dependencies.md")))
    assert set(rows) == direct
    pins = {
        name.lower(): version for name, version in re.findall(r"^([\w.-]+)==([^ ]+) ", read("requirements.txt"), re.MULTILINE)
    }
    for name, rest in rows.items():
        version, reason = (cell.strip() for cell in rest.strip("|").split("|", 1))
        assert version == pins[name.partition("[")[0].lower()], name
        assert len(reason) > 8, name


def test_dependencies_md_names_every_package_that_the_application_imports() -> None:
    imported = {each.partition(".")[0] for tree in trees().values() for each in imports_in(tree)}
    foreign = imported - set(sys.stdlib_module_names) - {"app"}
    modules = {"dotenv": "python-dotenv", "email_validator": "email-validator", "ua_parser": "ua-parser"}
    modules["prometheus_client"] = "prometheus-client"
    told = {name.partition("[")[0].lower() for name in re.findall(r"`([\w.\[\],-]+)`", read("docs/dependencies.md"))}
    assert {modules.get(name, name) for name in foreign} <= told


def test_the_settings_of_the_production_guide_leave_nothing_to_warn_of(tmp_path: Path) -> None:
    text = section(read("docs/production.md"), "Settings").partition("```text\n")[2].partition("```")[0]
    mounted = {name: token_urlsafe(48) for name in ("secret-key", "reset-secret", "smtp-password")}
    mounted["database-url"] = "postgresql://a:b@db.example.org/authkeep?sslmode=verify-full"
    mounted["redis-url"] = "rediss://:x@redis.example.org"
    for name, value in mounted.items():
        (tmp_path / name).write_text(value)
    (tmp_path / ".env").write_text(text.replace("/etc/authkeep", str(tmp_path)))
    settings = load_settings({}, tmp_path / ".env")
    assert list(warnings(settings)) == []
    assert settings.database_url.endswith("sslmode=verify-full")
    assert not settings.docs_open


def test_the_readme_names_every_command() -> None:
    text = section(read("README.md"), "Command line")
    commands = {name for command in cli.registered_commands if (name := _name(command))}
    of_users = {name for command in users.registered_commands if (name := _name(command))}
    named = set(re.findall(r"`([a-z][a-z-]*)`", text)) - {"authkeep"}
    assert named == commands
    listed = re.search(r"`users ([a-z|-]+)`", text.replace("\n", " "))
    assert listed is not None
    assert set(listed[1].split("|")) == of_users


def _name(command: CommandInfo) -> str:
    return command.name or (command.callback.__name__ if command.callback else "").replace("_", "-")


def test_every_link_within_the_documents_leads_somewhere() -> None:
    dead = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in DOCUMENTS
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text())
        if "://" not in target and not (document.parent / target).exists()
    ]
    assert not dead


def test_every_make_target_in_the_documents_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    named = {
        name
        for document in DOCUMENTS
        for name in re.findall(r"(?:`|^|; |&& )make\s([a-z][a-z-]*)", document.read_text(), re.MULTILINE)
    }
    assert {"run", "test", "check"} <= named
    assert named <= targets


def test_decisions_are_short_and_say_what_they_should() -> None:
    folder = ROOT / "docs" / "adr"
    index = (folder / "README.md").read_text()
    decisions = sorted(folder.glob("[0-9]*.md"))
    assert len(decisions) >= 7
    for number, path in enumerate(decisions, 1):
        text = path.read_text()
        assert path.name.startswith(f"{number:04}-")
        assert path.name in index
        assert len(text.splitlines()) <= 60, path.name
        assert re.findall(r"^## (\w+)", text, re.MULTILINE)[:3] == ["Context", "Decision", "Consequences"]


def test_every_command_in_the_documents_beside_the_tour_works(tmp_path: Path) -> None:
    """In the order they are in, in a folder where the server was set up."""
    commands = "\n".join(
        block for document in sorted((ROOT / "docs").rglob("*.md")) for block in BLOCK.findall(document.read_text())
    )
    assert "after-restore" in commands
    folder = tmp_path / "server"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    keys = settings_env("sqlite:///data/authkeep.db")
    env = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": ":".join([str(ROOT), *sys.path[1:]]), **keys}
    script = f"set -eu\npython -m app migrate\n{commands}\npython -m app users list\ntest -s backup.db\n"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=env,
        input="a password, a long one\n",
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "admin@example.org" in done.stdout
    assert "Ended 0 sessions" in done.stdout
