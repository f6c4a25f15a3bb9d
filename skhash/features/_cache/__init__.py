"""Features on disk, found by the content of what they were computed from."""
