"""An AWS on this machine: the emulator, its HTTPS front and the deployment of the application into it."""
