"""Servers broken on purpose, to show that the attacks of these tests would work against them."""
