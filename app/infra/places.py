"""About where an address is, by a MaxMind database that the operator brings. Loaded only where one is configured."""

from typing import Any

import maxminddb

from app.config import SettingsError


class MaxmindPlaces:
    """Reads the file in memory: nobody is asked where people are."""

    def __init__(self, path: str) -> None:
        """Open it.

        Raises:
            SettingsError: it is no such file.
        """
        try:
            self._reader = maxminddb.open_database(path, maxminddb.MODE_MEMORY)
            self._reader.get("192.0.2.1")
        except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
            raise SettingsError(f"GEOIP_FILE: can't be read as a MaxMind database ({type(error).__name__})") from error

    def find(self, address: str, locale: str) -> str | None:
        """See `Places.find`."""
        try:
            record = self._reader.get(address)
        except (ValueError, maxminddb.InvalidDatabaseError):
            return None
        if not isinstance(record, dict):
            return None
        parts = (_name(record.get("city"), locale), _name(record.get("country"), locale) or record.get("country_code"))
        return ", ".join(part for part in parts if isinstance(part, str) and part) or None


def _name(place: Any, locale: str) -> str | None:
    if not isinstance(place, dict):
        return None
    names = place.get("names")
    named = (names.get(locale) or names.get("en")) if isinstance(names, dict) else None
    code = place.get("iso_code")
    return named if isinstance(named, str) else code if isinstance(code, str) else None
