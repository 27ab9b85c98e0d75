"""What the county may do from afar: change settings of a closed list, and ask for things of another. Never a shell."""
