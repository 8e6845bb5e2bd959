"""The Vision Field Transformer: what the analytic emission lacks, learned from the Monte Carlo."""
