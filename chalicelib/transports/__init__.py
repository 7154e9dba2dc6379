"""How a message is handed to a server. `refusals` is what every transport fails with; `smtp` is the first."""
