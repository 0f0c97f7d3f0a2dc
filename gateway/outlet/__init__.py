"""What goes outside, and what is fetched from there."""
