"""What accounts, connectors, grants and sign-ins are: frozen values and pure transitions.

All times are whole milliseconds since 1970 (UTC). Stores write exactly these fields.
"""
