"""Two workers beside one, where there are cores for it."""

from bench.speed.cases.reading import ME
from bench.speed.cores import MANY
from bench.speed.figures import Goal, Row, compared
from bench.speed.run import Bench, Case


def two_workers(bench: Bench) -> list[Row]:
    """GET /auth/me by `--workers 2` on two cores, beside one worker on one."""
    cores = bench.stand.cores
    if len(cores.usable) < MANY and not bench.sizes.smoke:
        return [Row("two workers", goal=Goal(">=", 1.8), note=f"not measured: needs {MANY} cores, here are {len(cores.usable)}")]
    home = bench.stand.home("services")
    feed = home.crowd.access("me", ME)
    with bench.stand.server(home) as one, bench.stand.server(home, cores.both, "--workers", "2") as two:
        bench.warm_up("one worker", one.port, feed)
        bench.warm_up("two workers", two.port, feed)
        rounds = bench.alternate(
            "workers",
            {"two workers": bench.loaded(two.port, feed, home=home), "one worker": bench.loaded(one.port, feed, home=home)},
        )
    return [compared("two workers", rounds, "two workers", "one worker", goal=Goal(">=", 1.8))]


CASES = (Case("workers", "two workers", 1, two_workers),)
