"""Roles, permissions, and who may call what."""
