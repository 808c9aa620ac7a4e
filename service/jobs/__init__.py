"""Jobs: their records, who computes them, and where their pictures lie."""
