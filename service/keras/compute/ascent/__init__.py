"""Gradient ascent: the part of the network it needs, the canvas, the loop. Objectives and recipes are the engine's."""
