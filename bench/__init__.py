"""Measurements that stay with the code: what they measure, how, and what came out (results/, docs/)."""
