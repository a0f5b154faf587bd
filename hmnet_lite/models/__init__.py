"""Pictures in, logits out. A paper a folder, none imports another; what they share lies here."""
