"""What a method is: its kinds, what it is given and hands back. Which there are, and how they run, is elsewhere."""
