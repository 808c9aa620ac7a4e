"""What the engine asks of a framework, as protocols and plain values. No framework answers here."""
