"""YAML that only picks values; every key is declared by a dataclass."""
