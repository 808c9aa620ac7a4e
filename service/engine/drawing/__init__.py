"""Results as pictures: colours, sheets, charts, PNGs. Colours stand here alone; nothing is computed of networks."""
