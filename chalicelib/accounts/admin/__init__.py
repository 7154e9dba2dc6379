"""What administrators do: connectors, accounts, links, pauses, and the end of each."""
