"""A dataset: its ZIP, its labels and annotations, and a method that goes over a slice of it."""
