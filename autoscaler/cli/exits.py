"""Exit codes, the same for every command."""

OK = 0
FINDING = 1
"""The command ran and found something wrong (a policy that fails its check, a worse result)."""
USAGE = 2
"""Bad input: the message names what, where, and what is allowed."""
UNREACHABLE = 3
"""A server did not answer."""
INTERRUPTED = 130
"""Ctrl-C; what was finished is kept."""
