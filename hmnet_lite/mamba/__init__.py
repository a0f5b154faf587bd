"""Two feature maps in, the query's map out: SSM, hybrid Mamba, blocks, the mixer."""
