"""Policy files: typed, closed, every error with its file, line and field."""
