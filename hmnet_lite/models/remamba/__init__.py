"""ReMamber: segmentation by words, with a Mamba twister (Yang et al., ECCV 2024)."""
