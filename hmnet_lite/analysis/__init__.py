"""Arrays from a network and an episode, never a drawing: nothing here imports matplotlib."""
