"""Selecting samples: filters, speech level, near-duplicates; every decision with its reason and evidence."""
