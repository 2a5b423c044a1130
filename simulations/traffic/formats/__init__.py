"""Formats of recorded traffic, one module a family."""
