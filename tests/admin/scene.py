"""Staff with the console open: over HTTP, and in Chromium."""

from dataclasses import dataclass

from fastapi import FastAPI
from httpx2 import AsyncClient, Response
from playwright.async_api import Page
from sqlalchemy import text

from tests.account.forms import POLICY as ACCOUNT_POLICY
from tests.account.forms import Elements, Visitor, check_page
from tests.account.scene import Person, Scene, sign_in
from tests.support import api

POLICY = ACCOUNT_POLICY.replace("trusted-types 'none'", "trusted-types default")


async def give_role(app: FastAPI, username: str, role: str) -> None:
    """In the database itself; sessions that are open go on, with the new role."""
    async with app.state.server.database.write() as db:
        result = await db.execute(text("UPDATE users SET role = :role WHERE username = :name"), {"role": role, "name": username})
        assert result.rowcount == 1, f"no user {username}"


@dataclass
class Staff(Visitor):
    """Somebody with a role, signed in by cookie a moment ago, who may open pages below /admin and send their forms."""

    id: str = ""
    username: str = ""
    email: str = ""
    password: str = api.PASSWORD

    async def form(self, path: str, **fields: str) -> Response:
        """Send a form to a path, with the token of the day."""
        return await self.post(path, **fields)


async def staff(app: FastAPI, client: AsyncClient, role: str = "admin") -> Staff:
    """A new member of staff. `client` holds the cookies from now on, and nothing else's."""
    account = await api.register(client)
    await give_role(app, account["username"], role)
    found = Staff(client, id=str(account["id"]), username=account["username"], email=account["email"])
    await found.sign_in(account["username"], api.PASSWORD)
    return found


def check_desk(answer: Response, *, status: int = 200) -> Elements:
    """What must hold of every whole page of the console."""
    assert answer.status_code == status, answer.text
    return check_page(answer, policy=POLICY)


async def role_of(scene: Scene, person: Person, role: str) -> None:
    """Give somebody a role, in the database itself."""
    async with scene.database() as db:
        await db.execute(text("UPDATE users SET role = :role WHERE username = :name"), {"role": role, "name": person.username})


async def open_console(scene: Scene, page: Page, role: str = "admin", path: str = "/admin/users") -> Person:
    """Sign a new member of staff in through the page, and go to a page of the console."""
    person = await scene.register()
    await role_of(scene, person, role)
    await sign_in(page, person)
    await page.goto(path)
    return person
