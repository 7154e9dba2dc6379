"""What is wrong with a connector or an account: found out, explained, and how to mend it."""
