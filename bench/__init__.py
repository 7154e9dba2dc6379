"""Measures what Mailgrant costs: calls to AWS, round trips, throughput, cold starts (``make bench``)."""
