"""The DynamoDB tables, one file per noun. They only store: no decision is made here but by a condition."""
