"""What every composition root wires the same way: settings in; catalog, job store, artifacts and limits out."""
