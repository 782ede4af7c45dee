"""What measures speed, memory and detection quality; anyone can run it."""
