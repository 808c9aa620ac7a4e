"""Methods for networks that give back their input. How the latents are found on the graph is elsewhere."""
