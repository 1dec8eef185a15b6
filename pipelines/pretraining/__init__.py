"""Self-supervised pretraining on bone crops."""
