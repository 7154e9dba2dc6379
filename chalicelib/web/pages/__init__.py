"""The pages that mailbox owners meet."""
