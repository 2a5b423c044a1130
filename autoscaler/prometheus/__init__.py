"""Signals from Prometheus."""
