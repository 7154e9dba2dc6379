"""A provider, a mail server and an AWS on this machine, for the demo and the tests; never packaged."""
