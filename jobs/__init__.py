"""The composition: the command line, its configuration and one page per job."""
