"""What staff look at, with many users and a long log: each kind of page, its slowest answers beside the rest."""

import uuid
from collections.abc import Mapping, Sequence
from statistics import median, quantiles
from urllib.parse import urlencode

from app.audit.search_repository import Sought
from app.users.repository import Filters
from bench.speed.events import BUSY_ADDRESS, SPAN
from bench.speed.figures import Goal, Round, Row, Sample, Spread
from bench.speed.looks import BUSIEST, USUAL, Admin, counts, large
from bench.speed.run import Bench, Case, Part
from bench.speed.seeds import moment
from bench.speed.stand import Home

MOST_MS = 200
WARM_UPS = 3
EVERYBODY = Filters(None, None, None)
PEOPLE = {
    "everybody": {},
    "q=u (all)": {"q": "u"},
    "q=us (all)": {"q": "us"},
    "q=user00001 (one in ten)": {"q": "user00001"},
    "q=user00009 (one in ten, young)": {"q": "user00009"},
    "q=user0000012 (a thousand)": {"q": "user0000012"},
    "q=an address": {"q": "user0000001234@example.com"},
    "q=zz (nobody)": {"q": "zz"},
    "role=user (all)": {"role": "user"},
    "role=support (few)": {"role": "support"},
    "role=auditor (nobody)": {"role": "auditor"},
    "disabled": {"active": "no"},
    "q=u, disabled": {"q": "u", "active": "no"},
    "q=u, role=support": {"q": "u", "role": "support"},
    "by address": {"sort": "email"},
}
AS_API = {"no": "false", "yes": "true"}
Paths = dict[str, str]


def console(bench: Bench) -> list[Row]:
    """All kinds of pages, in turn."""
    home = large(bench).home
    found = counts(home)
    bench.said["console-rows"] = [{"large": {what: float(number) for what, number in found.items()}}]
    with bench.stand.server(home) as server:
        admin = Admin(home, server)
        kinds = {
            "people, console": people_pages(admin),
            "GET /users": users_calls(admin),
            "log, console": log_pages(admin),
            "GET /audit/events": log_calls(admin),
        }
        paths = {f"{kind}: {name}": path for kind, of_kind in kinds.items() for name, path in of_kind.items()}
        for path in paths.values():
            for _ in range(0 if bench.sizes.smoke else WARM_UPS):
                admin.look(path)
        rounds = bench.alternate("console", {what: looked_at(bench, admin, path) for what, path in paths.items()})
    rows = [Row(f"there are {what}", measured=Spread.of([number])) for what, number in found.items()]
    for kind in kinds:
        rows += _kind(kind, {what: rounds_of(rounds, what) for what in paths if what.startswith(f"{kind}: ")})
    return rows


def _kind(kind: str, looks: Mapping[str, list[Sample]]) -> list[Row]:
    """The slowest page, which has to reach something, then each."""
    rows = [_row(what, samples) for what, samples in looks.items()]
    slowest = max(looks, key=lambda what: median(each["p99"] for each in looks[what]))
    summary = f"{kind}, p99 of the slowest of {len(looks)} pages"
    worst = Spread.of([each["p99"] for each in looks[slowest]])
    return [Row(summary, "ms", worst, goal=Goal("<=", MOST_MS, "measured"), note=slowest.removeprefix(f"{kind}: ")), *rows]


def rounds_of(rounds: Sequence[Round], what: str) -> list[Sample]:
    """What each round found of one page."""
    return [each[what] for each in rounds]


def _row(what: str, samples: Sequence[Sample]) -> Row:
    usual = median(each["p50"] for each in samples)
    return Row(f"{what}, p99", "ms", Spread.of([each["p99"] for each in samples]), note=f"p50 {usual:.1f} ms")


def looked_at(bench: Bench, admin: Admin, path: str) -> Part:
    """A part: some looks at one page."""

    def measure() -> Sample:
        taken = sorted(admin.look(path) for _ in range(bench.sizes.looks))
        last = quantiles(taken, n=100, method="inclusive")[-1] if len(taken) > 1 else taken[0]
        return {"p50": round(median(taken), 3), "p99": round(last, 3), "longest": round(taken[-1], 3)}

    return measure


def _path(page: str, asked: Mapping[str, str]) -> str:
    return f"{page}?{urlencode(asked)}" if asked else page


def people_pages(admin: Admin) -> Paths:
    """The list with each search, a page from its middle, and one person."""
    middle = _middle(admin.home)
    far = admin.cursor(f"people/-created_at/{EVERYBODY!r}", [0, *middle])
    listed = {name: _path("/admin/users", asked) for name, asked in PEOPLE.items()}
    busiest, usual = _busiest_and_usual(admin.home)
    return {
        **listed,
        "a page from the middle": _path("/admin/users", {"cursor": far}),
        "one person": f"/admin/users/{usual}",
        "the person with most events": f"/admin/users/{busiest}",
    }


def users_calls(admin: Admin) -> Paths:
    """The same over the API."""
    listed = {
        name: _path("/users/", {key: AS_API.get(value, value) for key, value in asked.items()}) for name, asked in PEOPLE.items()
    }
    far = admin.cursor(f"users/created_at/{EVERYBODY!r}", _middle(admin.home))
    return {**listed, "a page from the middle": _path("/users/", {"cursor": far})}


def _searches(admin: Admin) -> dict[str, dict[str, str]]:
    """What of the log somebody may look for: much of it, little, none; and both at once."""
    busiest, usual = map(str, _busiest_and_usual(admin.home))
    staff, nobody = str(admin.seat.account.id), str(uuid.UUID(int=1))
    now = moment()
    middle = {"since": (now - SPAN * 0.51).isoformat(), "until": (now - SPAN * 0.5).isoformat()}
    common, rare, never = "user.login.succeeded", "user.role.changed", "session.theft_detected"
    return {
        "all": {},
        "a common fact": {"fact": common},
        "a rare fact": {"fact": rare},
        "a fact that never was": {"fact": never},
        "a subject": {"subject": usual},
        "the subject with most events": {"subject": busiest},
        "an actor": {"actor": usual},
        "the actor with most events": {"actor": busiest},
        "staff as actor": {"actor": staff},
        "an unknown subject": {"subject": nobody},
        "the busiest address": {"address": BUSY_ADDRESS},
        "an unknown address": {"address": "192.0.2.1"},
        "three days in the middle": middle,
        "before all": {"until": (now - 2 * SPAN).isoformat()},
        "a common fact in the middle": {"fact": common, **middle},
        "a rare fact in the middle": {"fact": rare, **middle},
        "the busiest address, a rare fact": {"address": BUSY_ADDRESS, "fact": rare},
        "the busiest address, a fact that never was": {"address": BUSY_ADDRESS, "fact": never},
        "the busiest address in the middle": {"address": BUSY_ADDRESS, **middle},
        "the busiest subject, a rare fact": {"subject": busiest, "fact": rare},
        "the busiest subject, a fact that never was": {"subject": busiest, "fact": never},
        "the busiest subject in the middle": {"subject": busiest, **middle},
        "the busiest subject, an unknown address": {"subject": busiest, "address": "192.0.2.1"},
        "the busiest actor, a fact that never was": {"actor": busiest, "fact": never},
        "staff as actor, a fact that never was": {"actor": staff, "fact": never},
    }


def log_pages(admin: Admin) -> Paths:
    """The console's page of the log."""
    return {name: _path("/admin/audit", asked) for name, asked in _searches(admin).items()}


def log_calls(admin: Admin) -> Paths:
    """The same over the API, and a page far back."""
    far = admin.cursor(f"audit/{Sought()!r}", [counts(admin.home)["events"] // 2])
    listed = {name: _path("/audit/events", asked) for name, asked in _searches(admin).items()}
    return {**listed, "a page from the middle": _path("/audit/events", {"cursor": far})}


def _middle(home: Home) -> list[str]:
    account = home.crowd.accounts[len(home.crowd.accounts) // 2]
    return [account.created_at.isoformat(), str(account.id)]


def _busiest_and_usual(home: Home) -> tuple[uuid.UUID, uuid.UUID]:
    return home.crowd.accounts[BUSIEST].id, home.crowd.accounts[USUAL].id


CASES = (Case("console", "pages for staff, with many users and a long log", 1, console),)
