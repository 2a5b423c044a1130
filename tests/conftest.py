"""What holds for all tests."""

from hypothesis import settings

# A shared machine may be busy: how long one example takes says nothing of the code.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
