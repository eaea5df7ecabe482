"""The demonstration: the whole road on the bundled manual, driven over HTTP as a user would."""
