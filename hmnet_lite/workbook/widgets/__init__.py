"""Controls that answer while they are moved; a module a topic."""
