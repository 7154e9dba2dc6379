"""The API: what its routes read, whom they ask, and how they answer."""
