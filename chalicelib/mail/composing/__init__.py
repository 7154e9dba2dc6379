"""From a caller's request to frozen bytes and their envelope."""
