"""Sound from elsewhere and results for later: allow-listed URLs, S3, a local folder."""
