"""Arrays in, drawings out; a module a topic."""
