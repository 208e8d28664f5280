"""`python -m app audit …` as somebody types it."""

from datetime import timedelta
from pathlib import Path

from fastapi import FastAPI
from httpx2 import AsyncClient

from app.core.server import Server
from tests.audit.chained import execute, heads_of, rows, seal, write
from tests.cli.commands import Commands
from tests.support import api
from tests.support.clock import TravellingClock


async def test_verify_says_that_all_is_well_and_how_far(server: Server, cli: Commands, tmp_path: Path) -> None:
    await write(server, 12)
    await seal(server)
    told = (await cli.succeed("audit", "verify")).splitlines()
    assert told[0] == "No head from outside the database was given (--heads, HEAD_SINKS): a cut-off end would not show."
    assert told[-1].startswith("Verified 12 rows, up to position 12; newest signed head: position 12, ")
    heads = tmp_path / "heads.jsonl"
    heads.write_text("\n".join(await heads_of(server)))
    for arguments, env in ((("--heads", str(heads)), {}), ((), {"HEAD_SINKS": f"file:{heads}"})):
        told = (await cli.succeed("audit", "verify", *arguments, **env)).splitlines()
        assert len(told) == 1


async def test_verify_ends_with_one_and_a_line_that_names_the_row(server: Server, cli: Commands, tmp_path: Path) -> None:
    await write(server, 12)
    await seal(server)
    heads = tmp_path / "heads.jsonl"
    heads.write_text("\n".join(await heads_of(server)))
    await execute(server, "DELETE FROM audit_events WHERE position = 7")
    result = await cli("audit", "verify")
    assert (result.code, result.out) == (1, "")
    assert result.err == "NOT VERIFIED: position 7: the row was removed; behind it comes position 8 (id 8).\n"
    await execute(server, "DELETE FROM audit_events WHERE position > 6")
    await execute(server, "DELETE FROM audit_heads")
    await execute(server, "UPDATE audit_chain SET position = 6, seal = (SELECT seal FROM audit_events WHERE position = 6)")
    result = await cli("audit", "verify", HEAD_SINKS=f"file:{heads}")
    assert result.code == 1
    assert "position 7: the end was cut off; the chain reached position 12" in result.err


async def test_an_export_is_verified_with_the_public_key_alone(
    app: FastAPI, client: AsyncClient, server: Server, cli: Commands, bare_cli: Commands, tmp_path: Path
) -> None:
    """In an empty environment: no secret, no database."""
    admin = await api.new_admin(app, client)
    await write(server, 5)
    await seal(server)
    export, heads = tmp_path / "export.jsonl", tmp_path / "heads.jsonl"
    export.write_text((await client.get("/audit/export", headers=admin.headers)).text)
    heads.write_text("\n".join(await heads_of(server)))
    key = (await cli.succeed("audit", "key")).strip()
    given = ("audit", "verify", "--export", str(export), "--heads", str(heads), "--key", key)
    assert "Verified " in await bare_cli.succeed(*given)
    export.write_text(export.read_text().replace("user.login.failed", "user.login.succeeded", 1))
    result = await bare_cli(*given)
    assert result.code == 1
    assert "was changed, put in, or moved here" in result.err
    other = await bare_cli(*given[:-1], "A" * 43)
    assert other.code == 1
    assert "not signed by a trusted key" in other.err
    assert "a --key" in await bare_cli.fail("audit", "verify", "--export", str(export))


async def test_of_an_export_nothing_is_verified_that_no_head_vouches_for(
    app: FastAPI, client: AsyncClient, server: Server, cli: Commands, bare_cli: Commands, tmp_path: Path
) -> None:
    """Whoever has the file can change it and compute all seals anew."""
    admin = await api.new_admin(app, client)
    await write(server, 5)
    await seal(server)
    heads, old, export = (tmp_path / name for name in ("heads.jsonl", "old.jsonl", "export.jsonl"))
    old.write_text("\n".join(await heads_of(server)))
    before = len(await rows(server))
    await write(server, 3)
    await seal(server)  # no head is due yet
    assert "\n".join(await heads_of(server)) == old.read_text()
    export.write_text((await client.get("/audit/export", headers=admin.headers)).text)
    heads.write_text("\n".join(await heads_of(server)))  # taking it along signed one
    key = (await cli.succeed("audit", "key")).strip()
    given = ("audit", "verify", "--export", str(export), "--key", key)
    assert "Verified " in await bare_cli.succeed(*given, "--heads", str(heads))
    arguments: tuple[str, ...]
    for arguments, told in (
        ((), "no row is vouched for"),
        (("--heads", str(old)), f"position {before + 1}: the rows up to position"),
    ):
        result = await bare_cli(*given, *arguments)
        assert (result.code, result.out) == (1, "")
        assert told in result.err
    lines = export.read_text().splitlines(keepends=True)
    for content, told in (
        ("", "the end was cut off"),
        ("".join(lines[3:]), "Of an export only the whole can be verified"),
        ((await client.get("/audit/export?format=csv", headers=admin.headers)).text, "which holds no seals"),
    ):
        export.write_text(content)
        result = await bare_cli(*given, "--heads", str(heads))
        assert (result.code, result.out) == (1, "")
        assert told in result.err
    gone = await bare_cli(*given, "--heads", str(tmp_path / "gone.jsonl"))
    assert gone.code == 1
    assert "does not exist" in gone.err


async def test_a_file_of_head_sinks_that_is_gone_or_emptied_is_a_finding(
    server: Server, cli: Commands, clock: TravellingClock, tmp_path: Path
) -> None:
    heads = tmp_path / "heads.jsonl"
    env = {"HEAD_SINKS": f"file:{heads}"}
    await cli.succeed("audit", "verify", **env)  # nothing is there yet
    clock.advance(-timedelta(hours=1))
    await write(server, 5)
    await seal(server)
    for content, told in ((None, "is not there"), ("", "holds no head"), ("some other log\n", "holds no head")):
        if content is not None:
            heads.write_text(content)
        result = await cli("audit", "verify", **env)
        assert (result.code, result.out) == (1, "")
        assert told in result.err
    heads.write_text("\n".join(await heads_of(server)))
    await cli.succeed("audit", "verify", **env)


async def test_a_change_of_keys_leaves_what_was_sealed_verifiable(server: Server, cli: Commands) -> None:
    await write(server, 5)
    await seal(server)
    old = (await cli.succeed("audit", "key")).strip()
    key = {"AUDIT_SIGNING_KEY": "an0ther-key-of-the-log-that-is-l0ng-en0ugh"}
    assert "not signed by a trusted key" in (await cli("audit", "verify", **key)).err
    told = await cli.succeed("audit", "verify", **key, AUDIT_TRUSTED_KEYS=old)
    assert "5 seals were made under another key" in told
    await execute(server, "UPDATE audit_events SET fact = 'x' WHERE position = 3")
    assert "position 3:" in (await cli("audit", "verify", **key, AUDIT_TRUSTED_KEYS=old)).err
