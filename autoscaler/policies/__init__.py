"""Scaling rules, one file each; all pure."""
