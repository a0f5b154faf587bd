"""Questions as data: which networks are trained, how they are scored, what their files say."""
