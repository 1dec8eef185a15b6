"""The computation, stage by stage: phantoms, ingest, segmentation, pretraining, classification, reporting."""
