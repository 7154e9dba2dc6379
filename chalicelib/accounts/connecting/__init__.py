"""Connecting a mailbox: links, sign-ins and their callbacks, and the ways without a browser."""
