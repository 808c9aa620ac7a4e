"""Methods that say where in a picture a class is seen."""
