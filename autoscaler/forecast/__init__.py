"""What load will come, as a distribution, and how long a pod takes to be there. Pure."""
