"""What every feature stands on: callers, errors, ports, sockets, crypto, limits, paging, templates. No tables, no features."""
