"""From raw files to a store: scan, guarded decode, plan, write, commit."""
