"""Pods and load in, share of requests that miss the objective out. Pure."""
