"""Hysterosalpingograms from physics: a woman's exams, their films over time, and the truth of both tubes."""
