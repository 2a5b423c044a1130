"""The process: policy files wired to the world, and the loop run over them."""
