"""From a lane that is due to the mail server's answer, recorded."""
