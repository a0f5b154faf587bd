"""Pictures in, logits out: a paper a folder, none imports another, what they share lies here."""
