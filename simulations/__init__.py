"""Offline replays of scaling policies against recorded traffic."""
