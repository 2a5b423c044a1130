"""`python -m autoscaler`: what the command `autoscaler` is."""

from autoscaler.cli import main

main()
