"""Times the scans beside other people's, `python -m hmnet_kernels.bench`; no kernel imports it."""
