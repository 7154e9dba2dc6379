"""The command line. Its commands speak to the API only; packaging and deploying have modules of their own."""
