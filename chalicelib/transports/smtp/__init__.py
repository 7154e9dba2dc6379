"""SMTP submission with XOAUTH2.

`sasl` the mechanism, `replies` what answers mean, `wire` the commands, `session` one connection for several
messages.
"""
