"""HTTP: routes, errors in OpenAI's form, connections, the process that listens."""
