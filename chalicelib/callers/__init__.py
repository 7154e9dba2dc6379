"""Who may use which accounts for what."""
