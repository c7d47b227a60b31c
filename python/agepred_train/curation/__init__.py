"""From pictures as they are published to a table of what training uses: read, verify, clean, group, split."""
