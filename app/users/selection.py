"""Choosing accounts for what is done to many."""

from app.users import repository

Filters = repository.Filters
list_ids = repository.list_ids
list_by_ids = repository.list_by_ids
