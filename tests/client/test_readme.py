"""The example of clients/python/README.md protects its routes, before a real server process."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import httpx2

from tests.support import api
from tests.support.apps import client_of, running
from tests.support.processes import ROOT
from tests.support.servers import ServerProcess

README = ROOT / "clients" / "python" / "README.md"
ADDRESS = "https://auth.example.com"


def example(folder: Path, url: str) -> ModuleType:
    """The block of Python, with another address, as a module."""
    blocks = re.findall(r"^```python\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 1
    assert blocks[0].count(ADDRESS) == 1
    file = folder / "example.py"
    file.write_text(blocks[0].replace(ADDRESS, url))
    spec = importlib.util.spec_from_file_location("example", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_the_example_protects_its_routes(env: dict[str, str], tmp_path: Path) -> None:
    with ServerProcess("serve", env, tmp_path / "server") as server:
        server.wait_ready()
        module = example(tmp_path, server.base_url)
        async with (
            httpx2.AsyncClient(base_url=server.base_url) as authkeep,
            running(module.app) as service,
            client_of(service) as client,
        ):
            user = await api.new_user(authkeep)
            assert (await client.get("/hello")).status_code == 401
            assert (await client.get("/hello", headers=user.headers)).json() == f"Hello {user.username}"
            assert (await client.delete("/everything", headers=user.headers)).status_code == 403
            assert (await client.get("/openapi.json")).status_code == 200
            assert (await authkeep.post("/auth/logout", headers=user.headers)).status_code == 204
            assert (await client.get("/hello", headers=user.headers)).status_code == 401
            server.kill()
            assert (await client.get("/hello", headers=user.headers)).status_code == 503
