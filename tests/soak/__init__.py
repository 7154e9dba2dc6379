"""Long runs that count what is lost: `make soak` runs each module of this package that has no underscore."""
