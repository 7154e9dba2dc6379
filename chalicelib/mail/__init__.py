"""Messages: how they are accepted, kept and relayed."""
