"""What `callers`, `accounts` and `mail` are handed: tables, keys, secrets, queues, functions.

The only package that uses boto3, and only `wiring` imports it. Every error of botocore is translated
here (`failures`), so that nobody above needs to know its vocabulary.
"""
