"""Tables, figures and the one HTML page."""
