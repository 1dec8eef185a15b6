"""Bytes at rest: identities, shards, manifests, splits, arrays and tables. Numpy in, numpy out."""
