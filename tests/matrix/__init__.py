"""Which promise is shown by which test: see rows.toml, and `make matrix`."""
