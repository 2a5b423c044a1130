"""Results for people and programs: terminal tables, Markdown, JSON, and one self-contained HTML page."""
