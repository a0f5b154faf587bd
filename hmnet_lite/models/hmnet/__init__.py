"""The published HMNet (NeurIPS 2024), number for number, and the reader of its authors' files."""
