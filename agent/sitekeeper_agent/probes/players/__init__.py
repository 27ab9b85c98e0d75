"""What the players of a site do: one source for each kind, one model of playback for all. Loaded when one is configured."""
