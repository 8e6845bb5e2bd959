"""Height maps of other programs, one format a file; what they have in common is in ``channel``."""
