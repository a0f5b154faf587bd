"""What the notebooks call: drawings, controls and exercises; nothing of the package imports it."""
