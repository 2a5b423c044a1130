"""Event-exact request engine; knows nothing of policies."""
