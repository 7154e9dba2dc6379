"""Every condition of a write in DynamoDB is needed: see `make conditions`.

Each conditional write has a name: module and public method of chalicelib.aws.tables that make it, as in
``grants.lease``, and for a part of a transaction also the part's table: ``grants.save_refreshed/accounts``.
map.toml says which test fails when its condition is taken away.
"""
