"""What a service does when far more is asked of it than it can do: open-loop load, slow uploads, clients that leave."""
