"""What people call from a shell: options in, one clear line or a file out."""
