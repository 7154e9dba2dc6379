"""The care of tokens: asked for once, kept, refreshed in time, and told of when that ends."""
