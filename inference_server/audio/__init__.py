"""Sound in and out: decoding with limits, spans of speech, encoding."""
