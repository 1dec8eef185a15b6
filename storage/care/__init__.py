"""Looking into a store and caring for it, by its bytes alone."""
