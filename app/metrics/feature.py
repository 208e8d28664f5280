"""What metrics plugs in."""

from app.core.server import Server


def install(server: Server) -> None:
    """/metrics on a port of its own, or by token on the server's; neither unless the settings say so."""
    if not server.settings.metrics_wanted:
        return
    from app.metrics.scraping import Scraper  # loads prometheus-client

    scraper = Scraper(server)
    server.provide(scraper)
    server.closers.append(scraper.close)
    if not server.settings.METRICS_PORT:
        from app.metrics.routes import router

        server.routers.append(router)
