"""Checks that tell a reader what is wrong with an answer; a module a topic."""
